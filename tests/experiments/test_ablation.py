"""The ablation on a world of its own: one value changed at a time, the default once, everything in one table."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from exmcr import config, pipeline
from exmcr.common.errors import ConfigError
from exmcr.evaluation.tasks import Task
from exmcr.experiments import ablation
from exmcr.figures import scores as plot_scores
from exmcr.pairing.pairs import Pools, quadruples
from exmcr.pipeline import fit_projector

ROOT = Path(__file__).parents[1].parent


def units(n, d, rng):
    v = rng.standard_normal((n, d)).astype(np.float32)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


class Embeddings:
    """Two leaves whose pools and validation items are noise; what a projector makes of it is not the point here."""

    def __init__(self):
        rng = np.random.default_rng(0)
        o = units(40, 8, rng)
        self.made, self.held = (
            Pools(units(30, 8, rng), o, units(40, 8, rng), units(50, 8, rng)),
            units(6, 8, rng),
        )

    def pools(self, leaf):
        return self.made

    def common(self, rows, maps):
        (map,) = maps.values()
        return map.leaf(self.held) if rows.modality.iloc[0] != "image" else self.held


@pytest.fixture
def project(tmp_path, monkeypatch):
    params = config.load(ROOT / "params.yaml")
    params["train"] |= {"steps": 2, "batch": 16, "leaves": {"audio": {"tau2": 0.1}}}
    params["seeds"] = [0, 1]
    params["ablate"] = {
        "steps": None,
        "centers": [["leaf"], ["overlap", "leaf", "base"]],
        "lambda": [0, 1.0],
    }
    params["ablate"] |= {"depth_inter": ["linear", 2], "tau2": [0.05, 0.2]}
    frame = {
        m: pd.DataFrame({"modality": [m] * 6, "id": range(6)})
        for m in ("image", "audio", "points", "text")
    }
    made = [
        Task(f"{a}->{b}", frame[a], frame[b], np.eye(6, dtype=bool), np.ones(6, bool))
        for a, b in (
            ("audio", "image"),
            ("points", "image"),
            ("audio", "points"),
            ("image", "text"),
        )
    ]
    monkeypatch.setattr(
        ablation,
        "tasks",
        lambda items, split: made if split == "val" else pytest.fail("test items were looked at"),
    )
    return SimpleNamespace(
        root=tmp_path,
        params=params,
        leaves=params["leaves"],
        embeddings=Embeddings(),
        items=None,
        figures=tmp_path / "figures",
    )


def test_one_table_of_all_factors_with_the_default_in_each(project):
    with pytest.raises(ConfigError, match="make ablate"):
        ablation.report(project)
    for factor in (ablation.DEFAULT, *ablation.factors(project.params)):
        ablation.ablate(project, factor, progress=False)
    table = ablation.report(project)
    assert list(table.columns) == ablation.COLUMNS and len(
        pd.read_csv(project.root / "reports/ablation.csv")
    ) == len(table)
    assert (project.figures / "ablation.png").stat().st_size > 10_000
    values = table.groupby(["factor", "leaf"], sort=False).value.unique().map(list).to_dict()
    assert values["centers", "audio"] == ["leaf", "all"] and values["depth_inter", "points"] == [
        "linear",
        "2",
    ]
    # The audio leaf's own tau2, 0.1, is not among the values: it comes after them.
    assert values["tau2", "audio"] == ["0.05", "0.2", "0.1"] and values["tau2", "points"] == [
        "0.05",
        "0.2",
    ]
    assert set(table.task) == {"audio->image", "points->image"}, (
        "a leaf is asked what it and the base can answer"
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
    """Those of the defaults too; a leaf that trains less anyway does so here."""
    project.params["train"]["leaves"]["audio"]["steps"], trained = 400, []

    def fit(pool, settings, seed, **options):
        trained.append(settings["steps"])
        return fit_projector(pool, settings | {"steps": 2}, seed, **options)

    monkeypatch.setattr(pipeline, "fit_projector", fit)
    for most, wanted in ((150, {2, 150}), (1, {1}), (None, {2, 400})):
        project.params["ablate"]["steps"] = most
        for factor in (ablation.DEFAULT, "lambda", "centers"):
            trained.clear()
            ablation.ablate(project, factor, progress=False)
            assert set(trained) == wanted, (most, factor)


def test_the_figure_says_the_limit(project, monkeypatch):
    for factor in (ablation.DEFAULT, *ablation.factors(project.params)):
        ablation.ablate(project, factor, progress=False)
    drawn = []
    monkeypatch.setattr(plot_scores, "store", lambda figure, path: drawn.append(figure))
    for most in (150, None):
        project.params["ablate"]["steps"] = most
        ablation.report(project)
    assert ["at most 150 steps" in figure.get_suptitle() for figure in drawn] == [True, False]
    figure = drawn[0]
    figure.canvas.draw()
    title = figure._suptitle.get_window_extent()
    assert 0 < title.x0 < title.x1 < figure.bbox.width, "the title fits"


def test_quadruples_are_made_once_for_all_values_of_a_leaf(project, monkeypatch):
    made = []
    monkeypatch.setattr(
        ablation.pairs,
        "quadruples",
        lambda pools, center, tau1: made.append((center, tau1)) or quadruples(pools, center, tau1),
    )
    tau1, leaves = project.params["pair"]["tau1"], len(project.leaves)
    project.params["ablate"] = {
        "lambda": [0, 0.5, 2],
        "tau1": [0.05, 0.1],
        "centers": [["leaf"], ["base", "leaf"]],
    }
    for factor, temperatures, centers in (
        ("lambda", [tau1], config.CENTERS),
        ("tau1", [0.05, 0.1], config.CENTERS),
        ("centers", [tau1], ("leaf", "base")),
    ):
        made.clear()
        ablation.ablate(project, factor, progress=False)
        assert sorted(made) == sorted(
            [(center, tau) for center in centers for tau in temperatures] * leaves
        )


def test_a_changed_value_changes_this_leaf_only(project):
    settings = ablation.changed(project.params, "audio", "noise", 0.5)
    assert config.train_settings(settings, "audio")["noise"] == 0.5
    assert config.train_settings(settings, "points") == config.train_settings(
        project.params, "points"
    )
    assert config.train_settings(project.params, "audio")["noise"] != 0.5, (
        "the project's own parameters stay"
    )
    assert ablation.changed(project.params, "audio", "tau1", 0.5)["pair"]["tau1"] == 0.5


def test_labels_tell_values_apart():
    params = config.load(ROOT / "params.yaml")
    for factor, values in ablation.factors(params).items():
        assert len({ablation.label(factor, value) for value in values}) == len(values)
    assert (
        ablation.label("terms", ["o-y", "x-o", "x-y", "o-o"]) == "dense"
        and ablation.label("centers", ["leaf", "overlap"]) == "overlap+leaf"
    )
    assert [ablation.label("overlap_through_fl", v) for v in (True, False)] == ["yes", "no"]


def test_every_factor_is_in_params_and_its_default_is_known():
    params = config.load(ROOT / "params.yaml")
    assert tuple(ablation.factors(params)) == config.ABLATED and set(params["ablate"]) - set(
        config.ABLATED
    ) == {"steps"}
    for factor in config.ABLATED:
        for leaf in params["leaves"]:
            assert ablation.default_value(params, leaf["name"], factor) in params["ablate"][factor]


def test_the_pipeline_file_has_a_stage_for_every_factor():
    import yaml

    stages = yaml.safe_load((ROOT / "ablation/dvc.yaml").read_text())["stages"]
    assert tuple(stages["ablate"]["matrix"]["factor"]) == config.ABLATED
    parts = {f"reports/ablation/{factor}.csv" for factor in (ablation.DEFAULT, *config.ABLATED)}
    assert parts <= set(stages["ablate_report"]["deps"])
    own = {
        "leaves",
        "pair",
        "train",
        "seeds",
        "ablate.steps",
    }  # a changed limit runs everything again
    assert set(stages["ablate_default"]["params"]) == own and set(
        stages["ablate"]["params"]
    ) == own | {"ablate.${item.factor}"}
    assert {"pair", "train", "ablate"} == set(stages["ablate_report"]["params"])


def test_unknown_factors_and_values_are_refused(project, capsys, monkeypatch):
    for factor in ("depth", "steps"):
        with pytest.raises(ConfigError, match=f"unknown factor '{factor}'"):
            ablation.ablate(project, factor)
    wrong = {
        "tau1": [0],
        "terms": [["a-t"]],
        "depth_inter": [0],
        "noise": [],
        "color": [1],
        "centers": ["leaf"],
        "lambda": [-1],
        "steps": 0,
    }
    params = config.load(ROOT / "params.yaml") | {"ablate": wrong}
    with pytest.raises(ConfigError) as error:
        config.check(params)
    for factor in wrong:
        assert f"ablate.{factor}" in str(error.value) or f"factor '{factor}'" in str(error.value), (
            factor
        )
    monkeypatch.chdir(ROOT)
    assert ablation.main(["depth"]) == 2 and "unknown factor" in capsys.readouterr().err
