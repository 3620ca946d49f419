"""Spoken queries by word and language, on a synthetic project with the speech leaf."""

import numpy as np
import pandas as pd
import pytest
import synthetic
import yaml

from exmcr import pipeline
from exmcr.common.errors import ConfigError
from exmcr.evaluation.bench import Bench
from exmcr.experiments import speech
from exmcr.project import Project

LEAF = {"name": "speech", "modality": "speech", "overlap": "text", "mini": "mini-speech-text"}
TURN = np.linalg.qr(np.random.default_rng(5).normal(size=(16, 16)))[0]
CASES = [
    "trained word, trained language",
    "trained word, held-out language",
    "new word, trained language",
    "new word, held-out language",
]


def spoken(items: pd.DataFrame) -> pd.DataFrame:
    """Every sound read aloud as well: of two test recordings of a thing one is in Catalan, and only
    half of the things are said in training."""
    sounds = items[items.modality == "audio"]
    number = sounds.concept.str.split().str[-1].astype(int)
    sounds = sounds[(sounds.split != "train") | (number % 2 == 0)]
    language = sounds.id.str.endswith("/1").map({True: "ca", False: "fr"})
    language = language.where(sounds.split == "test", "fr")
    return sounds.assign(id="speech/" + language + "/" + sounds.id, modality="speech")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("speech")
    opened = synthetic.project(root, concepts=12)
    rows = spoken(opened.items)
    pd.concat([opened.items, rows]).to_parquet(root / "data/items.parquet")
    for split in ("train", "val", "test"):
        texts = opened.bank("mini-audio-text", "text", split)
        own = rows[rows.split == split]
        sounds = opened.bank("mini-audio-text", "audio", split)
        said = sounds.take(own.id.str.split("/", n=2).str[2])
        for modality, ids, vectors in (
            ("text", texts.ids, texts.vectors),
            ("speech", own.id, said),
        ):
            folder = root / "banks/mini-speech-text" / modality / split
            synthetic._write_bank(folder, pd.Series(ids), vectors @ TURN)
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["leaves"] = [leaf for leaf in content["leaves"] if leaf["name"] != "speech"] + [LEAF]
    content["train"] |= {"steps": 4, "batch": 64, "leaves": {}}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    opened = Project(root)
    pipeline.pair(opened)
    pipeline.train(opened)
    return opened


def test_every_case_is_scored_for_every_task_with_its_own_queries_and_chance(project):
    table = speech.table(project)
    assert list(dict.fromkeys(table.concept_subset)) == CASES
    assert set(table.task) == {f"speech->{m}" for m in ("image", "text", "audio", "points")}
    image = table[(table.task == "speech->image") & (table.method == "hop")]
    assert image.n_queries.tolist() == [6, 6, 6, 6]
    assert (image["map"] > 2 * image.chance_map).all()


def test_the_cases_divide_the_queries_of_a_task(project):
    for task in Bench(project).tasks:
        if task.from_modality == "speech":
            rows = np.concatenate([which for _, which in speech.cases(task)])
            assert sorted(rows) == list(range(len(task.queries)))


def test_methods_are_scored_with_their_seeds_and_the_space_where_it_can(project):
    table = speech.table(project)
    seeds = table.groupby("method").seed.unique().map(sorted).to_dict()
    assert seeds == {"exmcr": [0, 1], "hop": [0], "leaf": [0]}
    assert set(table[table.method == "leaf"].task) == {"speech->text"}


def test_scores_are_those_of_the_results_table_weighted_by_queries(project):
    table = speech.table(project)
    mine = table[(table.task == "speech->image") & (table.method == "hop")]
    whole = pd.DataFrame(Bench(project).rows("hop", 0)).query("task == 'speech->image'")
    expected = whole[whole.concept_subset == "all"]["map"].item()
    assert np.average(mine["map"], weights=mine.n_queries) == pytest.approx(expected)


def test_printed_tables_are_one_per_case(project):
    printed = speech.markdown(speech.table(project))
    assert [line for line in printed.splitlines() if line in CASES] == CASES
    assert printed.count("| task | queries x gallery | chance |") == 4


def test_a_project_without_speech_is_an_error(tmp_path):
    opened = synthetic.project(tmp_path, concepts=6)
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    content["train"] |= {"steps": 2, "batch": 16, "leaves": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    opened = Project(tmp_path)
    pipeline.pair(opened)
    pipeline.train(opened)
    with pytest.raises(ConfigError, match="no spoken queries on the test split; docs/speech.md"):
        speech.table(opened)
