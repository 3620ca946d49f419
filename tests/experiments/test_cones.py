"""Synthetic spaces with gaps, cones and noise, and what centering does on them."""

import numpy as np
import pytest
from synthetic import project

from exmcr.commands.main import main
from exmcr.experiments import cones
from exmcr.experiments.cones import Condition, conditions, cone_of, mean_ap, measured, spaces
from exmcr.methods.baselines import hop
from exmcr.methods.centered import on_centered
from exmcr.methods.maps import Maps
from exmcr.pairing.pools import PARTS

FEW = {"hop": cones.METHODS["hop"], "procrustes": cones.METHODS["procrustes"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return project(tmp_path_factory.mktemp("project"), concepts=12)


def test_gaps_and_cones_are_as_strong_as_their_condition_says():
    flat, gap, cone = (
        spaces(c, 0, 300)
        for c in (Condition(gap=0), Condition(gap=1.5), Condition(gap=0, cone=2.0))
    )
    assert cone_of(flat.pools) < 0.2 < 0.7 < min(cone_of(gap.pools), cone_of(cone.pools))
    between = [np.linalg.norm(w.pools.o_base.mean(0) - w.pools.y_base.mean(0)) for w in (gap, cone)]
    assert between[0] > 0.8 and between[1] < 0.3, "a shared cone is no gap"


def test_pools_are_unpaired_but_for_the_overlap_and_rows_are_of_unit_norm():
    world = spaces(Condition(), 0, 200)
    assert [len(getattr(world.pools, part)) for part in PARTS] == [200, 200, 200, 400]
    for rows in (world.pools.x_leaf, world.x, world.y):
        assert rows.dtype == np.float32 and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    again, other = spaces(Condition(), 0, 200), spaces(Condition(), 1, 200)
    assert np.array_equal(world.x, again.x) and not np.allclose(world.x, other.x)


def test_map_is_the_mean_of_both_directions_and_that_of_literal_lists():
    world = spaces(Condition(), 0, 50)
    maps = Maps(leaf=lambda x: x)
    scores = []
    for a, b in ((world.x, world.y), (world.y, world.x)):
        for i, sims in enumerate(a @ b.T):
            order = sorted(range(len(b)), key=lambda j: -sims[j])
            hits = [world.labels[j] == world.labels[i] for j in order]
            places = [rank for rank, hit in enumerate(hits, 1) if hit]
            scores.append(np.mean([(n + 1) / rank for n, rank in enumerate(places)]))
    assert mean_ap(maps, world) == pytest.approx(np.mean(scores), abs=1e-4)


def test_centering_helps_the_hop_if_the_gap_is_wide_and_does_nothing_without_one():
    gain = {}
    for gap in (0.0, 1.5):
        world = spaces(Condition(gap=gap), 0, 400)
        plain, centered = (
            mean_ap(f(world.pools, 0, tau=0.05), world) for f in (hop, on_centered(hop))
        )
        gain[gap] = centered - plain
    assert gain[1.5] > 0.2 and abs(gain[0.0]) < 0.05, gain


def test_every_value_of_every_factor_is_one_condition_and_the_rest_are_defaults():
    table = conditions()
    assert len(table) == sum(map(len, cones.FACTORS.values()))
    for factor, value, condition in table:
        changed = {k for k in vars(condition) if getattr(condition, k) != getattr(Condition(), k)}
        assert changed <= {factor} and getattr(condition, factor) == value


def test_the_command_writes_table_and_figure_and_marks_the_real_spaces(made, monkeypatch, capsys):
    monkeypatch.setattr(cones, "METHODS", FEW)
    monkeypatch.setattr(cones, "ITEMS", 120)
    monkeypatch.setattr(cones, "SEEDS", (0,))
    monkeypatch.setattr(cones, "FACTORS", {"gap": (0.0, 1.0), "noise": (0.4,)})
    assert main(["cones", "--project", str(made.root)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| gap ") == 2 and printed.count("| noise ") == 1
    assert "| audio |" in printed and "| points |" in printed
    assert (made.reports / "cones.md").read_text() in printed
    assert (made.figures / "cones.png").stat().st_size > 5000
    assert (made.reports / "cones.csv").read_text().count("\n") == 1 + 3 * 2 * 2


def test_a_project_without_banks_has_synthetic_spaces_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cones, "METHODS", FEW)
    monkeypatch.setattr(cones, "ITEMS", 60)
    monkeypatch.setattr(cones, "SEEDS", (0,))
    monkeypatch.setattr(cones, "FACTORS", {"gap": (0.0,)})
    own = project(tmp_path, concepts=4)
    (own.root / "banks" / "mini-points" / "points" / "train" / "vectors.npy").unlink()
    assert main(["cones", "--project", str(own.root)]) == 0
    printed = capsys.readouterr().out
    assert "the spaces of this project are left out: " in printed and "| audio |" not in printed


def test_measured_cones_are_the_norms_of_the_means(made):
    row = measured(made).set_index("leaf").loc["audio"]
    pools = made.pools(made.params.leaf("audio"))
    literal = np.sqrt((pools.x_leaf.astype(np.float64).sum(axis=0) ** 2).sum()) / len(pools.x_leaf)
    assert row.x_leaf == pytest.approx(literal)
    assert row.cone == pytest.approx(np.mean([row[part] for part in PARTS]))
