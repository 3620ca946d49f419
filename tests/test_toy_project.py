"""The toy project of the notebooks: changes are kept and said, and stages run only if needed."""

from types import SimpleNamespace

import pytest
import yaml

from exmcr import pipeline, toy_project
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.config import read
from exmcr.project import Project
from exmcr.toy_project import STAGES

FULL = (project_root() / "params.yaml").read_text()


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """An empty root with stages that do nothing; returns the list of stages that ran."""
    (tmp_path / "params.yaml").write_text(FULL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(toy_project, "build", lambda name, folder: (folder / "data").mkdir())
    seen = []
    for stage in STAGES:

        def run(project, stage=stage):
            with project.running(stage):
                seen.append(stage)

        monkeypatch.setattr(pipeline, stage, run)
    return seen


def opened(needs):
    return toy_project.open_project("toy", needs=needs)


def test_what_a_notebook_needs_is_run_once_and_then_kept(runs):
    opened("extract")
    assert runs == ["fit_spaces", "extract"]
    opened("evaluate")
    assert runs == list(STAGES)
    opened("evaluate")
    assert opened(None).root.name == "toy" and runs == list(STAGES)


def test_a_stage_that_a_notebook_runs_itself_is_not_run_again_by_the_next(runs):
    project = opened("extract")
    pipeline.pair(project)
    opened("pair")
    assert runs == ["fit_spaces", "extract", "pair"]


def test_a_stage_that_fails_is_not_done(runs, monkeypatch):
    project = opened("pair")
    with pytest.raises(RuntimeError), project.running("extract"):
        raise RuntimeError
    runs.clear()
    opened("pair")
    assert runs == ["extract"]


def test_a_change_is_kept_and_said_and_runs_its_stage_and_the_later_ones_only(runs, capsys):
    project = opened("evaluate")
    runs.clear()
    assert capsys.readouterr().out == ""
    project = toy_project.change(project, {"pair.tau1": 0.5, "train.lambda": None})
    said = "changed: pair.tau1 = 0.5 (default 0.02)\n"
    assert capsys.readouterr().out == said and project.params.pair.tau1 == 0.5
    pipeline.pair(project)
    next_one = opened("train")
    assert capsys.readouterr().out == said and next_one.params.pair.tau1 == 0.5
    assert runs == ["pair", "train"]
    assert toy_project.changes(next_one) == ["pair.tau1 = 0.5 (default 0.02)"]


def test_everything_is_put_back(runs, capsys):
    project = toy_project.change(opened("evaluate"), {"train.steps": 7})
    project = toy_project.change(project, {"pair.centers": ["leaf"], "train.leaves.audio.lr": 0.5})
    assert {line.split(" =")[0] for line in toy_project.changes(project)} == {
        "train.steps",
        "pair.centers",
        "train.leaves",
        "train.leaves.audio.lr",
    }
    before = toy_project.reset()
    assert toy_project.changes(before) == [] and before.params.train.steps != 7
    runs.clear()
    opened("evaluate")
    assert runs == [], "nothing ran with the changed values, so all results still hold"
    pipeline.train(toy_project.change(opened(None), {"train.steps": 7}))
    toy_project.reset()
    runs.clear()
    opened("evaluate")
    assert runs == ["train"], "the projectors were of other values; evaluate was not run on them"


def test_nothing_is_changed_by_none_or_by_an_impossible_value(runs):
    project = opened(None)
    text = (project.root / "params.yaml").read_text()
    assert toy_project.change(project, {"pair.tau1": None}) is project
    for values in ({"pair.tau1": -1}, {"pair.tau9": 0.1}):
        with pytest.raises(ConfigError):
            toy_project.change(project, values)
    assert (project.root / "params.yaml").read_text() == text


def test_the_full_project_is_never_changed(runs):
    project = toy_project.open_project(".")
    assert type(project) is Project and toy_project.changes(project) == []
    assert toy_project.change(project, {"pair.tau1": None}) is project
    with pytest.raises(ConfigError, match="only the toy project"):
        toy_project.change(project, {"pair.tau1": 0.5})
    assert (project.root / "params.yaml").read_text() == FULL


def test_new_defaults_replace_a_students_values_and_run_what_depends_on_them(runs, tmp_path):
    toy_project.change(opened("evaluate"), {"train.steps": 7})
    changed = yaml.safe_load(FULL)
    changed["pair"]["tau1"] = 0.03
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed))
    runs.clear()
    project = opened("evaluate")
    assert project.params.pair.tau1 == 0.03 and toy_project.changes(project) == []
    assert runs == ["pair", "train", "evaluate"]


@pytest.mark.parametrize(
    ("folder", "again"),
    [
        ("media", list(STAGES)),
        ("banks", ["extract", "pair", "train", "evaluate"]),
        ("training", ["train", "evaluate"]),
        ("figures", []),
    ],
)
def test_edited_code_runs_the_stages_that_use_it(runs, monkeypatch, folder, again):
    opened("evaluate")
    runs.clear()
    real = toy_project.code_digest
    edited = lambda *folders: real(*folders) + folder * (folder in folders)
    monkeypatch.setattr(toy_project, "code_digest", edited)
    monkeypatch.setattr(toy_project, "build", lambda name, folder: None)
    opened("evaluate")
    assert runs == again


def test_the_blocks_of_every_stage_exist_and_the_toy_run_is_smaller_than_the_full_one():
    full = read(project_root() / "params.yaml")
    small = toy_project.toy_params(full)
    assert {block for blocks, _ in STAGES.values() for block in blocks} <= set(small)
    assert small["corpora"] == "toy" and small["seeds"] == [0] and full["corpora"] != "toy"
    assert small["train"]["steps"] * small["train"]["batch"] < full["train"]["steps"] * 512
    assert SimpleNamespace(**small["pair"]).tau1 == full["pair"]["tau1"]
