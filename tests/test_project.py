"""A project owns its paths, and verifies what it reads through them."""

import os
import shutil

import forked
import numpy as np
import pytest
import synthetic
import toy_spaces
import yaml

from exmcr import pipeline
from exmcr.banks import Bank, storage
from exmcr.common.errors import ConfigError
from exmcr.evaluation.bench import Bench
from exmcr.project import Project
from exmcr.spaces import loaded


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.project(tmp_path_factory.mktemp("synthetic")).root


@pytest.fixture
def project(made, tmp_path):
    shutil.copytree(made, tmp_path / "p")
    return Project(tmp_path / "p")


PATHS = ["../models/spaces", "/etc", "..", "a/b", "a\\b", "", ".hidden", "a b", "a\n"]


@pytest.mark.parametrize("name", PATHS)
def test_a_name_that_is_a_path_gives_no_path(project, name):
    for make in (
        lambda: project.bank_path(name, "audio", "test"),
        lambda: project.bank_path("s", name, "test"),
        lambda: project.bank_path("s", "audio", name),
        lambda: project.pairs_path(name),
        lambda: project.projector_path(name, 0),
        lambda: project.loaded_path(name),
    ):
        with pytest.raises(ConfigError, match="cannot be the name of a folder|unknown split"):
            make()


def test_a_leaf_that_is_named_like_a_path_touches_nothing(project):
    """`pair` once deleted the weights of the spaces for a leaf "../models/spaces"."""
    path = project.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["leaves"][0]["name"] = "../models/spaces"
    params["train"]["leaves"] = {}
    path.write_text(yaml.safe_dump(params))
    weights = project.root / "models/spaces/a.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_text("weights")
    before = forked.tree(project.root)
    with pytest.raises(ConfigError, match="models/spaces"):
        pipeline.pair(Project(project.root))
    assert forked.tree(project.root) == before


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_banks_of_two_encoders_are_not_mixed(project, modality):
    folder = project.bank_path("mini-audio-text", modality, "train")
    meta = {"fingerprint": "another", "sha256": Bank(folder).meta["sha256"]}
    (folder / "manifest.json").write_text(yaml.safe_dump(meta).replace("\n", " "))
    storage.finish(folder, ids_of(folder), {"fingerprint": "another"})
    with pytest.raises(ConfigError) as error:
        pipeline.pair(Project(project.root))
    message = str(error.value)
    assert "banks of space 'mini-audio-text' are of two encoders" in message
    assert "synthetic" in message and "another" in message and "\n" not in message
    assert str(folder) in message
    assert not (project.root / "pairs").exists()


def ids_of(folder):
    import pandas as pd

    return pd.read_parquet(folder / "ids.parquet")


@pytest.mark.parametrize("file", ["vectors.npy", "manifest.json"])
@pytest.mark.parametrize("work", [pipeline.pair, pipeline.train, Bench])
def test_nothing_runs_on_a_damaged_bank(project, work, file):
    if work is pipeline.train:
        pipeline.pair(project)
    folder = project.bank_path("mini-image-text", "image", "train")
    if file == "vectors.npy":
        forked.flip(folder / file, 4007)
    else:
        (folder / file).write_text("{")
    if work is pipeline.train and file == "vectors.npy":  # it reads pseudo-pairs and manifests only
        return
    with pytest.raises(ConfigError, match=f"{file} .*run `exmcr extract`") as error:
        work(Project(project.root))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_damaged_item_table_is_one_line(project, content):
    project.items_path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"items.parquet .*run `exmcr corpora`") as error:
        _ = Project(project.root).items
    assert "\n" not in str(error.value)


def test_a_stage_deletes_the_drafts_of_killed_ones_and_waits_for_running_ones(project, monkeypatch):
    from exmcr.common.processes import signature

    monkeypatch.setattr("exmcr.common.locks.PAUSE", 0.005)
    host, pid, start = signature().rsplit("-", 2)
    dead = f"{host}-{pid}-{int(start) - 1}"
    stale = [
        project.root / place / f".x.{dead}-0123abcd.part"
        for place in ("pairs/audio", "banks", "models/projectors", "reports", "data/features")
    ]
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with project.running("pair"):
        assert not any(path.exists() for path in stale)
        child = forked.start(lambda: project.running("pair").__enter__())
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    assert forked.result(child) == 0
    with project.running("pair"), project.running("train"):
        pass
    assert not list(project.reports.glob(".*.lock"))


# With encoders that read a weight file


@pytest.fixture
def with_spaces(tmp_path, toy_corpus, monkeypatch):
    project = toy_spaces.with_corpus(tmp_path, toy_corpus, monkeypatch)
    pipeline.fit_spaces(project)
    return project


def test_banks_are_not_made_with_damaged_weights(with_spaces):
    pipeline.extract(with_spaces)
    before = forked.tree(with_spaces.root / "banks")
    forked.flip(with_spaces.root / "sounds.safetensors", 8 * 200)
    with pytest.raises(ConfigError, match=r"space 'sounds' .*sounds.safetensors changed") as error:
        pipeline.extract(Project(with_spaces.root))
    assert "\n" not in str(error.value) and str(error.value).endswith("run `exmcr spaces` again")
    assert forked.tree(with_spaces.root / "banks") == before
    forked.flip(with_spaces.root / "sounds.safetensors", 8 * 200)
    pipeline.extract(Project(with_spaces.root))
    assert forked.tree(with_spaces.root / "banks") == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]"])
def test_a_damaged_record_of_a_space_is_one_line_and_made_again(with_spaces, damage):
    path = with_spaces.loaded_path("wide")
    whole = path.read_bytes()
    for content in (damage, whole.replace(b'"dim": 768', b'"dim": 769')):
        path.write_bytes(content)
        for read in (lambda: with_spaces.load_space("wide"), lambda: loaded.table(with_spaces)):
            with pytest.raises(ConfigError, match=r"wide-loaded.json is damaged") as error:
                read()
            assert "\n" not in str(error.value)
        pipeline.fit_spaces(Project(with_spaces.root))
        assert path.read_bytes() == whole


def test_whole_runs_that_are_killed_end_with_the_same_files(with_spaces):
    """Every stage from spaces to pairs. tests/kills.py does the same 40 times, with training."""
    root = with_spaces.root

    def run():
        for stage in ("fit_spaces", "extract"):
            getattr(pipeline, stage)(Project(root))

    def clean():
        for name in ("banks", "models", "reports"):
            shutil.rmtree(root / name, ignore_errors=True)

    run()
    whole = forked.tree(root)
    statuses = forked.kill_at_random(run, clean, times=3)
    assert any(statuses)
    run()
    assert forked.tree(root) == whole
    assert np.isfinite(Bank(with_spaces.bank_path("wide", "text", "train")).vectors).all()
