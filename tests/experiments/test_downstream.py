"""The stage `downstream` on a project of random items; its parts are tested where the truth is known in
tests/evaluation/test_localization.py."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from synthetic import project

from exmcr import pipeline
from exmcr.commands.main import main
from exmcr.evaluation import compositions
from exmcr.evaluation.bench import REPORTED
from exmcr.experiments import downstream, downstream_scenes
from exmcr.methods.maps import NotApplicable
from exmcr.methods.registry import METHODS, Method
from exmcr.project import Project

SHORT = {"steps": 2, "batch": 16}


class Base:
    """Random vectors that follow from the image."""

    def encode(self, modality, images):
        assert modality == "image"
        seeds = [int(image.astype(int).sum()) for image in images]
        rows = np.stack([np.random.default_rng(seed).normal(size=16) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def load_item(item):
    assert item.modality == "image"
    rng = np.random.default_rng([*item.id.encode()])
    return rng.integers(0, 200, size=(20, 30, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project after the stage `train`."""
    root = tmp_path_factory.mktemp("project")
    project(root, concepts=6)
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["train"] |= SHORT | {"leaves": {}}
    content["compare"] = {"cmcr": {"settings": SHORT}}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    pipeline.pair(Project(root))
    pipeline.train(Project(root))
    return root


@pytest.fixture
def trained(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.setattr(Project, "load_space", lambda self, name: Base())
    monkeypatch.setattr(Project, "load_raw", lambda self, item: load_item(item))
    return Project(tmp_path / "copy")


def test_every_method_seed_task_and_metric_is_in_the_table(trained, capsys):
    assert main(["downstream", "--project", str(trained.root)]) == 0
    assert "localization" in capsys.readouterr().out
    table = pd.read_csv(trained.reports / "downstream.csv")
    assert list(table.columns) == downstream.COLUMNS
    seeds = table.groupby("method").seed.unique().map(list).to_dict()
    assert seeds == {name: [0] for name in (*REPORTED, "word", "ceiling")} | {
        "exmcr": [0, 1],
        "cmcr": [0, 1],
    }
    own = table[(table.method == "hop") & (table.sound == "own")]
    assert {(row.task, row.metric) for row in own.itertuples()} == {
        *(("localization", metric) for metric in ("pointing", "ciou", "auc")),
        *(
            (f"counterfactual {what}", m)
            for what in ("canvas", "picture")
            for m in ("ap", "max_f1")
        ),
    }
    assert set(table[table.sound == "other"].task) == {"localization"}
    assert table.value.between(0, 1).all() and not table.isna().any(axis=None)
    assert set(table.n) == {12}, "two test sounds of each of six concepts"
    assert (trained.figures / "downstream.png").stat().st_size > 10_000


def test_a_damaged_sound_is_left_out(trained):
    """A space that skipped an item has no vector of it."""
    folder = trained.banks / "mini-audio-text/audio/test"
    manifest = json.loads((folder / "manifest.json").read_text())
    skipped = [{"id": "audio/test/0/0", "reason": "silent"}]
    (folder / "manifest.json").write_text(json.dumps(manifest | {"skipped": skipped}))
    scenes = downstream_scenes.of_project(Project(trained.root))
    assert len(scenes.scenes) == 11 and "audio/test/0/0" not in {s.sound for s in scenes.scenes}


def test_scenes_know_whether_their_concept_was_in_training(trained):
    opened = Project(trained.root)
    unseen = (opened.items.modality == "audio") & (opened.items.split == "train")
    opened.items = opened.items[~(unseen & (opened.items.concept == "thing 3"))]
    scenes = downstream_scenes.of_project(opened)
    concepts = [scene.concept for scene in scenes.scenes]
    assert scenes.seen.tolist() == [concept != "thing 3" for concept in concepts]
    table = downstream.table(scenes, {})
    assert set(table.concept_subset) == {"all", "seen", "unseen"}
    assert set(table.method) == {"word", "ceiling"}


def test_a_method_that_cannot_serve_sounds_is_left_out_of_table_and_figure(trained, monkeypatch):
    def refuses(pools, seed, **settings):
        raise NotApplicable("not here")

    monkeypatch.setitem(METHODS, "cmcr", Method(refuses, seeded=True))
    drawn = []
    monkeypatch.setattr(downstream, "figure", lambda scenes, maps, path: drawn.append(list(maps)))
    assert "cmcr" not in set(downstream.run(trained).method)
    assert drawn == [["exmcr", "hop"]]


def test_without_a_leaf_of_sounds_the_table_is_empty(tmp_path, monkeypatch, capsys):
    project(tmp_path, concepts=2)
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    content["leaves"] = [leaf for leaf in content["leaves"] if leaf["modality"] != "audio"]
    content["train"]["leaves"] = {}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(compositions, "scenes", lambda *_, **__: pytest.fail("work was begun"))
    assert main(["downstream", "--project", str(tmp_path)]) == 0
    assert "no leaf has the modality audio" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "reports/downstream.csv")
    assert list(table.columns) == downstream.COLUMNS and table.empty
    assert not (tmp_path / "reports/figures").exists()
