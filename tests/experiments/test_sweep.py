"""Scores of methods on validation concepts, and settings tried there."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import project

from exmcr import config
from exmcr.commands.main import main
from exmcr.common.errors import ConfigError
from exmcr.evaluation import bench as benches
from exmcr.evaluation.bench import Bench
from exmcr.evaluation.metrics import per_query
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.evaluation.tasks import EMERGENT, tasks
from exmcr.experiments import sweep
from exmcr.methods.baselines import hop
from exmcr.methods.maps import Method, NotApplicable
from exmcr.methods.registry import METHODS, wrong_settings
from exmcr.methods.relative import relative


@pytest.fixture
def made(tmp_path, monkeypatch):
    def watched(items, split):
        return tasks(items, split) if split == "val" else pytest.fail("test items were read")

    monkeypatch.setattr(benches, "tasks", watched)
    monkeypatch.chdir(tmp_path)
    return project(tmp_path)


def with_compare(params, block):
    return params.model_copy(update={"compare": block})


def mean_map(bench, maps):
    """Mean over the emergent tasks, computed here."""
    scores = []
    for task in bench.tasks:
        if task.name in EMERGENT:
            ranks = ranks_of_positives(bench.similarity(task, maps), task.positive)
            scores.append(per_query(ranks, len(task.gallery))["map"].mean())
    assert len(scores) == len(EMERGENT)
    return np.mean(scores)


def test_chosen_settings_are_scored_on_validation_concepts_over_all_seeds(made, capsys):
    made.params = with_compare(made.params, {"relative": {"anchors": 6}})
    table = sweep.chosen(made, ["hop", "relative"]).set_index("method")
    assert table.seeds.to_dict() == {"hop": 1, "relative": 2}
    bench, means = Bench(made, "val"), []
    for seed in (0, 1):
        maps = {leaf: relative(pools, seed, anchors=6) for leaf, pools in bench.pools.items()}
        means.append(mean_map(bench, maps))
    assert means[0] != means[1]
    assert table.loc["relative", "map"] == pytest.approx(np.mean(means), abs=1e-6)
    made.params = with_compare(made.params, {"relative": {"anchor": 6}})
    with pytest.raises(ConfigError, match="anchor"):
        sweep.chosen(made, ["relative"])
    capsys.readouterr()
    assert main(["sweep", "--chosen", "hop"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["method", "seeds", "map"]
    assert line.split()[:3] == ["hop", "1", f"{table.loc['hop', 'map']:.4f}"]


def test_a_sweep_scores_every_combination_and_keeps_other_methods(made, capsys):
    assert main(["sweep", "hop"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4, "a head and the best three"
    assert main(["sweep", "relative"]) == 0
    assert main(["sweep", "hop"]) == 0
    table = pd.read_csv(made.reports / "compare_sweep.csv")
    assert table.groupby("method").settings.agg(["nunique", "size"]).values.tolist() == [
        [len(sweep.combinations(sweep.GRIDS[name]))] * 2 for name in ("hop", "relative")
    ]
    assert np.allclose(table["map"], table[list(EMERGENT)].mean(axis=1), atol=1e-4)
    capsys.readouterr()
    for arguments, known in ((["direct"], "hop"), (["--chosen", "telepathy"], "direct")):
        assert main(["sweep", *arguments]) == 2  # direct has no settings to try
        said = capsys.readouterr().err
        assert f"'{arguments[-1]}'" in said and known in said and len(said.splitlines()) == 1


def test_a_row_of_a_sweep_has_the_scores_of_its_settings_on_top_of_those_of_params(made):
    made.params = with_compare(made.params, {"cca": {"dims": 8, "shrink": 10.0}})
    table = sweep.sweep(made, ["hop"])
    bench = Bench(made, "val")
    for row in table.itertuples():
        tau = json.loads(row.settings)["tau"]
        maps = {leaf: hop(pools, tau=tau) for leaf, pools in bench.pools.items()}
        assert row.map == pytest.approx(mean_map(bench, maps), abs=1e-6)
    assert sweep.best(table)["map"].tolist() == sorted(table["map"], reverse=True)[:3]


def test_what_is_finished_is_stored_when_a_later_method_fails(made, monkeypatch):
    def broken(pools, seed, tau=1):
        raise ZeroDivisionError

    monkeypatch.setitem(METHODS, "broken", Method(broken))
    monkeypatch.setitem(sweep.GRIDS, "broken", {"tau": [1]})
    with pytest.raises(ZeroDivisionError):
        sweep.sweep(made, ["hop", "broken"])
    assert set(pd.read_csv(made.reports / "compare_sweep.csv").method) == {"hop"}


def test_a_method_that_cannot_serve_every_task_has_no_mean(made, monkeypatch):
    def audio_only(pools, seed, tau=1.0):
        if pools.names["leaf"] != "audio":
            raise NotApplicable("only for sounds")
        return hop(pools, seed, tau=tau)

    monkeypatch.setitem(METHODS, "half", Method(audio_only))
    monkeypatch.setitem(sweep.GRIDS, "half", {"tau": [0.1]})
    row = sweep.sweep(made, ["half"]).iloc[0]
    assert np.isnan(row["map"]) and row["audio->image"] > 0 and "points->image" not in row


@pytest.mark.parametrize("name", sweep.GRIDS)
def test_every_grid_is_of_settings_that_its_method_has(name):
    params = config.load(Path(__file__).parents[2] / "params.yaml")
    for settings in sweep.combinations(sweep.GRIDS[name]):
        assert wrong_settings(with_compare(params, {name: settings})) == []
