"""The stage `evaluate`: its files, and what it refuses."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import synthetic
import yaml

from exmcr import pipeline
from exmcr.common.errors import ConfigError
from exmcr.evaluation import geometry, tables
from exmcr.evaluation.stage import trained_maps
from exmcr.project import Project


def quick(root):
    """A synthetic project with short training."""
    synthetic.project(root, concepts=8)
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["train"] |= {"steps": 3, "batch": 32, "leaves": {}}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    return Project(root)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = quick(tmp_path_factory.mktemp("project"))
    pipeline.pair(project)
    pipeline.train(project)
    return project


@pytest.fixture(scope="module")
def results(project):
    return pipeline.evaluate(project)


def test_the_tables_are_flat_files_with_fixed_columns(project, results):
    for name in ("results", "validation"):
        table = pd.read_csv(project.reports / f"{name}.csv")
        assert list(table.columns) == tables.columns() and len(table)
    stored = pd.read_csv(project.reports / "results.csv")
    pd.testing.assert_frame_equal(stored, results, rtol=0, atol=1e-6, check_dtype=False)
    shape = pd.read_csv(project.reports / "geometry.csv")
    assert list(shape.columns) == geometry.COLUMNS
    maps = trained_maps(project)["exmcr", 0]
    expected = geometry.table(project, maps)
    pd.testing.assert_frame_equal(shape, expected, rtol=0, atol=1e-6, check_dtype=False)
    assert not list(project.reports.glob(".*.part"))


def test_metrics_are_the_means_of_exmcr_over_seeds(project, results):
    metrics = json.loads((project.reports / "metrics.json").read_text())
    own = results[(results.method == "exmcr") & (results.concept_subset == "all")]
    assert list(metrics) == list(dict.fromkeys(own.task))
    for task, part in own.groupby("task"):
        assert metrics[task] == {name: round(part[name].mean(), 4) for name in ("r1", "map")}
        assert len(part) == 2, "two seeds"


def test_stored_projectors_become_maps_of_every_seed_and_leaf(project):
    maps = trained_maps(project)
    assert {key: list(leaves) for key, leaves in maps.items()} == {
        ("exmcr", 0): ["audio", "points"],
        ("exmcr", 1): ["audio", "points"],
    }
    x = np.asarray(project.bank("mini-audio-text", "audio", "test").vectors)
    first, second = (maps["exmcr", seed]["audio"].leaf(x) for seed in (0, 1))
    assert first.shape == x.shape and not np.allclose(first, second)


def test_projectors_of_other_settings_are_refused(project, tmp_path):
    for part in ("data", "banks", "models", "pairs"):
        (tmp_path / part).symlink_to(project.root / part)
    content = yaml.safe_load((project.root / "params.yaml").read_text())
    content["train"]["tau2"] = 0.3
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="audio-seed0.* was trained with .*train"):
        pipeline.evaluate(Project(tmp_path))
    assert not (tmp_path / "reports/results.csv").exists()


def without_split(project, root, split):
    """The project without the items of one split."""
    for part in ("banks", "models", "pairs", "params.yaml"):
        (root / part).symlink_to(project.root / part)
    (root / "data").mkdir()
    project.items[project.items.split != split].to_parquet(root / "data/items.parquet")
    return Project(root)


def test_a_corpus_may_come_without_validation_items(project, results, tmp_path):
    bare = without_split(project, tmp_path, "val")
    again = pipeline.evaluate(bare)
    validation = pd.read_csv(bare.reports / "validation.csv")
    assert list(validation.columns) == tables.columns() and not len(validation)
    # The catalog from which shapes are retrieved loses the shapes of the validation split.
    whole = results.task != "audio->points"
    pd.testing.assert_frame_equal(again[whole], results[whole])


def test_a_corpus_without_test_items_is_an_error(project, tmp_path):
    message = "no task with the modality of a leaf has data on the test split of corpora 'mini'"
    with pytest.raises(ConfigError, match=message):
        pipeline.evaluate(without_split(project, tmp_path, "test"))


def test_a_missing_bank_of_validation_items_is_an_error_not_an_empty_table(project, tmp_path):
    for part in ("data", "models", "pairs", "params.yaml"):
        (tmp_path / part).symlink_to(project.root / part)
    shutil.copytree(project.root / "banks", tmp_path / "banks")
    shutil.rmtree(tmp_path / "banks/mini-audio-text/audio/val")
    with pytest.raises(ConfigError, match="8 audio items are in no bank of 'mini-audio-text'"):
        pipeline.evaluate(Project(tmp_path))
