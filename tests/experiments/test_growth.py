"""Methods on shares of the unpaired pools."""

import numpy as np
import pytest
from synthetic import project, world

from exmcr.commands.main import main
from exmcr.evaluation.bench import Bench
from exmcr.experiments import growth
from exmcr.experiments.growth import PARTS, SHARES, cut


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return project(tmp_path_factory.mktemp("project"))


def test_cutting_a_pool_leaves_the_others_whole_and_keeps_overlap_rows_together():
    pools = world(n=80).pools
    half = cut(pools, "o", 0.5)
    assert len(half.o_leaf) == len(half.o_base) == 40
    rows = [np.flatnonzero((pools.o_leaf == row).all(axis=1))[0] for row in half.o_leaf]
    assert np.array_equal(pools.o_base[rows], half.o_base)
    assert half.x_leaf is pools.x_leaf and half.y_base is pools.y_base


def test_a_larger_share_contains_a_smaller_one():
    pools = world(n=80).pools
    small, large = (cut(pools, "x", share).x_leaf for share in (0.25, 0.5))
    assert len(small) == 20
    assert {tuple(row) for row in small} < {tuple(row) for row in large}


def test_labels_are_cut_with_their_pool():
    pools = world(n=20).pools
    pools.concepts = {part: np.arange(20).astype(str).astype(object) for part in PARTS}
    part = cut(pools, "y", 0.5)
    rows = part.concepts["y"].astype(int)
    assert np.array_equal(part.y_base, pools.y_base[rows])
    assert len(part.concepts["x"]) == 20


def test_growth_draws_every_share_and_a_second_run_fits_nothing(made, monkeypatch, capsys):
    assert main(["growth", "hop", "procrustes", "--project", str(made.root)]) == 0
    table = capsys.readouterr().out
    assert table.count("| x |") == table.count("| o |") == table.count("| y |") == len(SHARES)
    assert (made.figures / "growth.png").stat().st_size > 5000

    def refuse(*_):
        raise AssertionError("fitted again")

    monkeypatch.setattr(growth, "measure", refuse)
    again = growth.growth(made, ["hop", "procrustes"])
    assert set(again.method) == {"hop", "procrustes"} and again["map"].notna().all()


def test_the_whole_pools_score_as_in_the_comparison(made):
    from exmcr.experiments.compare import measure

    bench = Bench(made)
    precision = measure(bench, "hop", 0)["ap"]
    expected = np.mean([np.mean(precision[task.name]) for task in bench.emergent])
    table = growth.growth(made, ["hop"])
    whole = table[(table.share == 1) & (table.pool == "y")]
    assert whole["map"].to_numpy() == pytest.approx([expected], abs=1e-6)
