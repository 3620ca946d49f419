"""The toy corpus, and a whole run on it: raw items to a results table, reproducibly."""

import json

import pandas as pd
import pytest
import yaml

from exmcr import pipeline, toy_project
from exmcr.common.hashing import sha256
from exmcr.common.paths import project_root
from exmcr.config import read
from exmcr.corpora import build, toy
from exmcr.evaluation.tables import COLUMNS
from exmcr.project import Project
from exmcr.spaces.base import Space


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    params = toy_project.toy_params(read(project_root() / "params.yaml")) | {"seeds": [0, 1]}
    params["train"] |= {"steps": 20}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    build("toy", folder)
    project = Project(folder)
    for step in ("fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, step)(project)
    return project


def files(root):
    return {str(path.relative_to(root)): sha256(path) for path in root.rglob("*") if path.is_file()}


def test_the_toy_corpus_is_the_same_every_time(tmp_path):
    for name in "ab":
        build("toy", tmp_path / name)
    first = files(tmp_path / "a")
    assert first == files(tmp_path / "b") and len(first) == 3 + 226
    assert not any(name.endswith(".part") for name in first)


def test_the_toy_corpus_has_every_modality_in_every_split(tmp_path):
    items = pd.read_parquet(build("toy", tmp_path))
    assert {"a red ball", "an orange ball"} <= set(items.caption)
    counts = items.groupby(["modality", "split"]).size()
    assert counts.to_dict() == {
        ("audio", "train"): 30,
        ("audio", "val"): 8,
        ("audio", "test"): 16,
        ("image", "train"): 70,
        ("image", "val"): 16,
        ("image", "test"): 32,
        ("points", "train"): 30,
        ("points", "val"): 8,
        ("points", "test"): 16,
        ("text", "train"): 54,
        ("text", "val"): 32,
        ("text", "test"): 48,
    }


def test_every_toy_item_is_loaded_and_unseen_things_have_no_training_sound_or_shape(project):
    for row in project.items.itertuples():
        project.load_item(row)
    train = project.items[project.items.split == "train"]
    for modality in ("audio", "points"):
        concepts = set(train.concept[train.modality == modality])
        assert concepts == set(toy.THINGS) - set(toy.UNSEEN)
    assert set(toy.UNSEEN) <= set(train.concept[train.modality == "image"])


def test_results_have_every_method_task_and_column(project):
    results = pipeline.evaluate(project)
    assert list(results.columns) == COLUMNS
    sound = results[results.task == "audio->image"]
    assert set(sound.method) == {"exmcr", "hop", "procrustes", "lstsq", "direct"}
    assert set(sound.concept_subset) == {"all", "seen", "unseen"}
    trained = sound[(sound.method == "exmcr") & (sound.concept_subset == "all")]
    assert sorted(trained.seed) == [0, 1]
    assert results.r1.between(0, 1).all()
    assert (results.r1_low <= results.r1).all() and (results.r1 <= results.r1_high).all()
    kept = results[results.task == "image->text"]
    assert list(zip(kept.method, kept.seed)) == [("base", 0), ("exmcr", 0), ("exmcr", 1)]
    assert kept[["r1", "map"]].nunique().eq(1).all()  # the extension leaves the base unchanged


def test_training_again_gives_the_same_weights_and_extracting_again_encodes_nothing(
    project, monkeypatch
):
    weights = sorted((project.root / "models/projectors").glob("*.safetensors"))
    before = [sha256(path) for path in weights]
    assert len(before) == 2 * len(project.leaves)
    for path in weights:
        path.unlink()
    pipeline.train(project)
    assert [sha256(path) for path in weights] == before
    monkeypatch.setattr(Space, "encode", lambda *a: pytest.fail("encoded again"))
    monkeypatch.setattr(Space, "encode_loaded", lambda *a: pytest.fail("encoded again"))
    assert (pipeline.extract(project).vectors > 0).all()


def test_a_projector_records_what_it_was_trained_on(project):
    note = json.loads(project.projector_path("audio", 1).with_suffix(".json").read_text())
    assert note["seed"] == 1 and note["leaf_space"] == "mini-audio-text"
    bank = project.bank("mini-audio-text", "audio", "train")
    assert note["leaf_fingerprint"] == bank.fingerprint


def test_the_losses_of_the_mini_spaces_fall_on_toy_items(project):
    losses = pd.read_csv(project.reports / "space_losses.csv").groupby(["space", "pair"]).loss
    assert (losses.last() < losses.first()).all()
