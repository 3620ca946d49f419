"""The toy corpus, and a whole run on it: raw items to a results table, twice the same."""

import pandas as pd
import pytest
import yaml

from exmcr import config, pipeline, toy_project
from exmcr.corpora import build
from exmcr.corpora import items as table
from exmcr.evaluation.tables import COLUMNS


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    params = toy_project.params(config.load(config.project_root() / "params.yaml"))
    params["seeds"] = [0, 1]
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    build("toy", folder)
    project = pipeline.Project(folder)
    for step in ("fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, step)(project)
    return project


def test_every_item_of_the_toy_corpus_can_be_loaded_and_unheard_things_are_never_heard(project):
    for row in project.items.itertuples():
        table.load_item(row, project.root / "data")
    heard = project.items[(project.items.modality == "audio") & (project.items.split == "train")]
    assert not set(heard.concept) & {"pyramid", "plate"}


def test_results_have_every_method_task_and_column(project):
    results = pipeline.evaluate(project)
    assert list(results.columns) == COLUMNS
    sound = results[results.task == "audio->image"]
    assert set(sound.method) == {"exmcr", "hop", "procrustes", "lstsq", "direct"}
    assert set(sound.split) == {"all", "seen", "unseen"}
    assert sorted(sound[(sound.method == "exmcr") & (sound.split == "all")].seed) == [0, 1]
    assert (
        results.r1.between(0, 1).all()
        and (results.r1_low <= results.r1).all()
        and (results.r1 <= results.r1_high).all()
    )
    kept = results[results.task == "image->text"]
    assert list(zip(kept.method, kept.seed)) == [("base", 0), ("exmcr", 0), ("exmcr", 1)]
    assert kept[["r1", "map"]].nunique().eq(1).all()  # extending costs the base nothing


def test_training_again_gives_the_same_weights_and_extracting_again_encodes_nothing(
    project, monkeypatch
):
    before = pipeline.projector_digest(project)
    pipeline.train(project)
    assert pipeline.projector_digest(project) == before
    from exmcr.spaces.base import Space

    monkeypatch.setattr(Space, "encode", lambda *a: pytest.fail("encoded again"))
    assert (pipeline.extract(project).vectors > 0).all()


def test_a_projector_says_what_made_it(project):
    import json

    note = json.loads(project.projector_path("audio", 1).with_suffix(".json").read_text())
    assert note["seed"] == 1 and note["leaf_space"] == "mini-audio-text"
    assert (
        note["leaf_fingerprint"]
        == project.embeddings.bank("mini-audio-text", "audio", "train").fingerprint
    )


def test_mini_spaces_put_matching_toy_items_together(project):
    rows = pd.read_csv(project.root / "reports/space_losses.csv")
    last, first = (
        getattr(rows.groupby(["space", "pair"]).loss, which)() for which in ("last", "first")
    )
    assert (last < first).all()
