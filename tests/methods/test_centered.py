"""Methods on centered pools, with the base unchanged."""

import numpy as np
import pytest
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods import exmcr
from exmcr.methods.baselines import hop, procrustes
from exmcr.methods.centered import on_centered
from exmcr.methods.maps import identity
from exmcr.methods.networks import centered_once
from exmcr.methods.relative import asif
from exmcr.pairing.centering import centered, mean_of
from exmcr.pairing.pools import PARTS

PAIR = {"tau1": 0.02, "centers": ["overlap", "leaf", "base"]}
TRAIN = {
    **{"steps": 60, "batch": 128, "lr": 0.003, "weight_decay": 0.01, "lambda": 1.0, "tau2": 0.1},
    **{"noise": 0.01, "terms": ["x-o", "o-o", "x-y", "o-y"], "overlap_through_fl": False},
    "hidden": 64,
}


@pytest.fixture(scope="module")
def wide():
    """Wide gaps: every modality lies in a narrow cone of its own."""
    return world(n=400, gap=2.5, noise=0.03)


def fit_exmcr(pools, seed=0, **pair):
    return exmcr.fit(pools, seed, pair=PAIR | pair, train=TRAIN)


def test_centered_pools_have_no_mean_and_unit_rows(wide):
    assert np.linalg.norm(mean_of(wide.pools.x_leaf)) > 0.8
    moved = centered(wide.pools)
    for part in PARTS:
        rows = getattr(moved, part)
        assert np.linalg.norm(mean_of(rows)) < 0.2
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        own = getattr(wide.pools, part).astype(np.float64)
        literal = [row - sum(own) / len(own) for row in own[:3]]
        expected = [row / np.sqrt(sum(v * v for v in row)) for row in literal]
        assert np.allclose(rows[:3], expected, atol=1e-5)


@pytest.mark.parametrize("fit, gain", [(fit_exmcr, 0.2), (hop, 0.05)], ids=["exmcr", "hop"])
def test_centering_restores_what_a_wide_gap_takes(wide, fit, gain):
    plain, ours = (r1(f(wide.pools, 0), wide.x, wide.y) for f in (fit, on_centered(fit)))
    assert ours > plain + gain, (ours, plain)


def test_without_a_gap_it_changes_little():
    flat = world(n=400, gap=0.0, noise=0.03)
    plain, ours = (
        r1(f(flat.pools, 0), flat.x, flat.y) for f in (procrustes, on_centered(procrustes))
    )
    assert abs(ours - plain) < 0.05


def test_centering_fails_if_items_differ_by_their_mean(wide):
    """A pool of one kind of thing: its mean is what it is, and subtracting it leaves noise."""
    one = world(n=200, latent=2, gap=0.0, noise=0.03)
    towards = one.pools.x_leaf[0]
    near = one.pools.x_leaf[one.pools.x_leaf @ towards > 0.9]
    one.pools.x_leaf = near
    plain, ours = (
        float((f(one.pools).leaf(near) * procrustes(one.pools).leaf(near)).sum(axis=1).mean())
        for f in (procrustes, on_centered(procrustes))
    )
    assert plain > 0.99 > 0.7 > ours


def test_an_unchanged_base_stays_unchanged_and_a_changed_one_is_centered(wide):
    assert on_centered(hop)(wide.pools).base is identity
    maps, moved = on_centered(asif)(wide.pools), centered(wide.pools)
    shifted = wide.y - mean_of(wide.pools.y_base)
    shifted /= np.linalg.norm(shifted, axis=1, keepdims=True)
    expected = asif(moved).base(shifted.astype(np.float32))
    assert np.allclose(np.asarray(maps.base(wide.y)), np.asarray(expected), atol=1e-5)


def test_the_setting_of_ex_mcr_does_the_same_within_its_projector(wide):
    inside, outside = fit_exmcr(wide.pools, subtract_mean=True), on_centered(fit_exmcr)(wide.pools)
    assert inside.base is identity
    cosine = (inside.leaf(wide.x) * outside.leaf(wide.x)).sum(axis=1)
    assert cosine.mean() > 0.95
    assert r1(inside, wide.x, wide.y) > r1(outside, wide.x, wide.y) - 0.1


def test_the_setting_needs_a_linear_f_l(wide):
    with pytest.raises(ConfigError, match="needs a linear f_l"):
        exmcr.fit(
            wide.pools,
            pair=PAIR | {"subtract_mean": True},
            train=TRAIN | {"steps": 1, "depth_intra": 0},
        )


def test_centered_pools_are_made_once(wide):
    assert centered_once(wide.pools) is centered_once(wide.pools)
