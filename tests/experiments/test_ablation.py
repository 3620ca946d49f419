"""The ablation on random pools: one value changed at a time, the default once, all in one table."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from exmcr import config
from exmcr.commands import ablate as command
from exmcr.commands.main import main
from exmcr.common.errors import ConfigError
from exmcr.config import CENTERS
from exmcr.evaluation.tasks import Task
from exmcr.experiments import ablation
from exmcr.figures import comparison
from exmcr.pairing.pairs import quadruples
from exmcr.pairing.pools import Pools
from exmcr.training.fit import fit_projector

ROOT = Path(__file__).parents[2]


def units(n, d, rng):
    v = rng.standard_normal((n, d)).astype(np.float32)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


class Embeddings:
    """Validation items of noise: what a projector makes of them does not matter here."""

    def __init__(self, project):
        self.held = project.held

    def common(self, rows, maps):
        (map,) = maps.values()
        return map.leaf(self.held) if rows.modality.iloc[0] != "image" else self.held


def params_with(ablate, **changes):
    """Parameters of the repository with short trainings, two seeds and these values to ablate."""
    content = config.read(ROOT / "params.yaml")
    content["train"] |= {"steps": 2, "batch": 16, "leaves": {"audio": {"tau2": 0.1}}}
    params = config.check(content | {"seeds": [0, 1], "ablate": ablate})
    return config.changed(params, changes) if changes else params


FEW = {
    "steps": None,
    "centers": [["leaf"], ["overlap", "leaf", "base"]],
    "depth_inter": ["linear", 2],
    "tau2": [0.05, 0.2],
    "lambda": [0, 1.0],
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    o = units(40, 8, rng)
    pools = Pools(units(30, 8, rng), o, units(40, 8, rng), units(50, 8, rng))
    frame = {
        m: pd.DataFrame({"modality": [m] * 6, "id": range(6)})
        for m in ("image", "audio", "points", "text")
    }
    ends = [("audio", "image"), ("points", "image"), ("audio", "points"), ("image", "text")]
    known = [
        Task(f"{a}->{b}", frame[a], frame[b], np.eye(6, dtype=bool), np.ones(6, bool))
        for a, b in ends
    ]
    monkeypatch.setattr(
        ablation,
        "tasks",
        lambda items, split: known if split == "val" else pytest.fail("test items were read"),
    )
    monkeypatch.setattr(ablation, "Embeddings", Embeddings)
    params = params_with(FEW)
    return SimpleNamespace(
        params=params,
        leaves=params.leaves,
        held=units(6, 8, rng),
        pools=lambda leaf: pools,
        usable_items=None,
        reports=tmp_path / "reports",
        figures=tmp_path / "reports/figures",
    )


def run_all(project):
    for factor in (ablation.DEFAULT, *project.params.ablate.factors()):
        ablation.ablate(project, factor, progress=False)


def test_one_table_of_all_factors_with_the_default_in_each(project):
    with pytest.raises(ConfigError, match="make ablate"):
        ablation.report(project)
    run_all(project)
    table = ablation.report(project)
    assert list(table.columns) == ablation.columns()
    assert len(pd.read_csv(project.reports / "ablation.csv")) == len(table)
    values = table.groupby(["factor", "leaf"], sort=False).value.unique().map(list).to_dict()
    assert values["centers", "audio"] == ["leaf", "all"]
    assert values["depth_inter", "points"] == ["linear", "2"]
    # The leaves' own tau2, 0.1, is not among the values: it comes after them.
    assert values["tau2", "audio"] == values["tau2", "points"] == ["0.05", "0.2", "0.1"]
    assert set(table.task) == {"audio->image", "points->image"}, (
        "a leaf is scored on the tasks that it and the base can serve"
    )
    own = table[table.default]
    assert (own.groupby(["factor", "leaf", "seed"]).size() == 1).all()
    assert own.groupby(["leaf", "seed"]).map.nunique().eq(1).all(), (
        "the same run under every factor"
    )
    assert own.drop_duplicates(["factor", "leaf"]).groupby("factor").size().eq(2).all()
    listed = table[(table.factor == "lambda") & ~table.default]
    assert set(listed.value) == {"0"} and set(listed.seed) == {0, 1}


def test_all_runs_are_limited_alike(project, monkeypatch):
    """Those of the defaults too; a leaf that trains fewer steps anyway does so here."""
    trained = []

    def fit(pool, settings, seed, **options):
        trained.append(settings["steps"])
        return fit_projector(pool, settings | {"steps": 2}, seed, **options)

    monkeypatch.setattr(ablation, "fit_projector", fit)
    for most, expected in ((150, {2, 150}), (1, {1}), (None, {2, 400})):
        longer = {"train.leaves.audio.steps": 400}
        project.params = params_with(FEW | {"steps": most}, **longer)
        for factor in (ablation.DEFAULT, "lambda", "centers"):
            trained.clear()
            ablation.ablate(project, factor, progress=False)
            assert set(trained) == expected, (most, factor)


def test_the_command_draws_the_figure_which_names_the_limit(project, monkeypatch, capsys):
    run_all(project)
    figures = []
    monkeypatch.setattr(command, "open_project", lambda folder: project)
    monkeypatch.setattr(comparison, "store", lambda figure, path: figures.append((figure, path)))
    for most in (150, None):
        project.params = params_with(FEW | {"steps": most})
        assert main(["ablate", "report"]) == 0
    path = project.figures / "ablation.png"
    assert f"{project.reports / 'ablation.csv'}: " in capsys.readouterr().out
    assert [p for _, p in figures] == [path, path]
    titles = [figure.get_suptitle() for figure, _ in figures]
    assert ["at most 150 steps" in title for title in titles] == [True, False]
    figure = figures[0][0]
    figure.canvas.draw()
    title = figure._suptitle.get_window_extent()
    assert 0 < title.x0 < title.x1 < figure.bbox.width, "the title fits"


def test_the_figure_is_stored(project, monkeypatch):
    run_all(project)
    monkeypatch.setattr(command, "open_project", lambda folder: project)
    assert main(["ablate", "report"]) == 0
    assert (project.figures / "ablation.png").stat().st_size > 10_000


def test_quadruples_are_made_once_for_all_values_of_a_leaf(project, monkeypatch):
    made = []
    monkeypatch.setattr(
        ablation.pairs,
        "quadruples",
        lambda pools, center, tau1, **more: (
            made.append((center, tau1)) or quadruples(pools, center, tau1, **more)
        ),
    )
    tau1, leaves = project.params.pair.tau1, len(project.leaves)
    project.params = params_with(
        {"lambda": [0, 0.5, 2], "tau1": [0.05, 0.1], "centers": [["leaf"], ["base", "leaf"]]}
    )
    for factor, temperatures, centers in (
        ("lambda", [tau1], CENTERS),
        ("tau1", [0.05, 0.1], CENTERS),
        ("centers", [tau1], ("leaf", "base")),
    ):
        made.clear()
        ablation.ablate(project, factor, progress=False)
        assert sorted(made) == sorted(
            [(center, tau) for center in centers for tau in temperatures] * leaves
        )


def test_a_changed_value_changes_this_leaf_only(project):
    params = project.params
    other = ablation.changed(params, "audio", "noise", 0.5)
    assert other.train_settings("audio")["noise"] == 0.5
    assert other.train_settings("points") == params.train_settings("points")
    assert params.train_settings("audio")["noise"] != 0.5, "the project's own parameters stay"
    assert ablation.changed(params, "audio", "tau1", 0.5).pair.tau1 == 0.5


def test_labels_tell_values_apart():
    params = config.load(ROOT / "params.yaml")
    for factor, values in params.ablate.factors().items():
        assert len({ablation.label(factor, value) for value in values}) == len(values)
    assert ablation.label("terms", ["o-y", "x-o", "x-y", "o-o"]) == "dense"
    assert ablation.label("centers", ["leaf", "overlap"]) == "overlap+leaf"
    assert [ablation.label("overlap_through_fl", v) for v in (True, False)] == ["yes", "no"]


ALL_FACTORS = [field.alias or name for name, field in config.blocks.Ablate.model_fields.items()]
ALL_FACTORS.remove("steps")


def test_every_factor_is_in_params_and_its_default_is_known():
    params = config.load(ROOT / "params.yaml")
    listed = params.ablate.factors()
    assert sorted(listed) == sorted(ALL_FACTORS)
    for factor, values in listed.items():
        for leaf in params.leaves:
            assert ablation.default_value(params, leaf.name, factor) in values


def test_the_pipeline_file_has_a_stage_for_every_factor():
    stages = yaml.safe_load((ROOT / "experiments/dvc.yaml").read_text())["stages"]
    assert sorted(stages["ablate"]["matrix"]["factor"]) == sorted(ALL_FACTORS)
    parts = {f"reports/ablation/{factor}.csv" for factor in (ablation.DEFAULT, *ALL_FACTORS)}
    assert parts <= set(stages["ablate_report"]["deps"])
    # A changed limit of steps runs everything again.
    own = {"spaces", "base", "leaves", "imported", "pair", "train", "seeds", "ablate.steps"}
    assert set(stages["ablate_default"]["params"]) == own
    assert set(stages["ablate"]["params"]) == own | {"ablate.${item.factor}"}
    report = {"spaces", "base", "leaves", "imported", "pair", "train", "ablate"}
    assert set(stages["ablate_report"]["params"]) == report


def test_unknown_factors_and_values_are_refused(project, capsys, monkeypatch):
    for factor in ("depth", "steps"):
        with pytest.raises(ConfigError, match=f"unknown factor '{factor}'"):
            ablation.ablate(project, factor)
    wrong = {
        "tau1": [0],
        "terms": [["a-t"]],
        "depth_inter": [0],
        "color": [1],
        "centers": ["leaf"],
        "lambda": [-1],
        "steps": 0,
    }
    content = config.read(ROOT / "params.yaml") | {"ablate": wrong}
    with pytest.raises(ConfigError) as error:
        config.check(content)
    for factor in wrong:
        assert f"ablate.{factor}" in str(error.value), factor
    monkeypatch.chdir(ROOT)
    assert main(["ablate", "depth"]) == 2
    assert capsys.readouterr().err.startswith("exmcr ablate: unknown factor 'depth'")
