"""What methods score on validation concepts, and settings tried there."""

import numpy as np
import pandas as pd
import pytest
from synthetic import project

from exmcr.common.errors import ConfigError
from exmcr.evaluation.metrics import per_query
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.evaluation.tasks import EMERGENT, tasks
from exmcr.experiments import compare, sweep
from exmcr.methods.relative import relative


@pytest.fixture
def made(tmp_path, monkeypatch):
    def watched(items, split):
        return tasks(items, split) if split == "val" else pytest.fail("test items were looked at")

    monkeypatch.setattr(compare, "tasks", watched)
    monkeypatch.chdir(tmp_path)
    return project(tmp_path)


def test_chosen_settings_are_scored_on_validation_concepts_over_all_seeds(made, capsys):
    made.params["compare"] = {"relative": {"anchors": 6}}
    found = sweep.chosen(made, ["hop", "relative"]).set_index("method")
    assert found.seeds.to_dict() == {"hop": 1, "relative": 2}
    bench, means = compare.Bench(made, "val"), []
    for seed in (0, 1):
        maps = {leaf: relative(pools, seed, anchors=6) for leaf, pools in bench.pools.items()}
        asked = [t for t in bench.tasks if t.name in EMERGENT]
        means.append(
            np.mean(
                [
                    per_query(ranks_of_positives(bench.similarity(t, maps), t.positive))[
                        "map"
                    ].mean()
                    for t in asked
                ]
            )
        )
    assert means[0] != means[1] and found.loc["relative", "map"] == pytest.approx(
        np.mean(means), abs=1e-6
    )
    made.params["compare"] = {"relative": {"anchor": 6}}
    with pytest.raises(ConfigError, match="anchor"):
        sweep.chosen(made, ["relative"])
    sweep.main(["--chosen", "hop"])
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["method", "seeds", "map"] and line.split()[:3] == [
        "hop",
        "1",
        f"{found.loc['hop', 'map']:.4f}",
    ]


def test_a_sweep_scores_every_combination_and_keeps_other_methods(made, capsys):
    sweep.main(["hop"])
    sweep.main(["relative"])
    table = pd.read_csv(made.root / "reports/compare_sweep.csv")
    assert table.groupby("method").settings.nunique().to_dict() == {
        name: len(sweep.combinations(sweep.GRIDS[name])) for name in ("hop", "relative")
    }
    assert np.allclose(table["map"], table[list(EMERGENT)].mean(axis=1), atol=1e-4)
    for arguments, known in (
        (["direct"], "hop"),
        (["--chosen", "telepathy"], "direct"),
    ):  # direct has nothing to try
        with pytest.raises(SystemExit):
            sweep.main(arguments)
        assert (
            f"unknown method '{arguments[-1]}'" in (said := capsys.readouterr().err)
            and known in said
        )
