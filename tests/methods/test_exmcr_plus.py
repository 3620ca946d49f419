"""exmcr+ on two rotated, gapped views of one latent, and its parts against plain references."""

import numpy as np
import pytest
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods.baselines import hop
from exmcr.methods.exmcr_plus import MEMBERS, exmcr_plus, toward_neighbors, whitened_queries
from exmcr.methods.maps import identity
from exmcr.methods.relative import described
from exmcr.methods.ridge import ridge_matrix
from exmcr.pairing.pools import Pools


def unit(v):
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def known():
    return world()


def test_the_ridge_minimizes_its_objective(known):
    """Its gradient is zero."""
    a, b = (v.astype(np.float64) for v in (known.pools.o_leaf, known.pools.o_base))
    weight = ridge_matrix(a, b, 0.7)
    assert np.allclose(a.T @ (a @ weight - b) + 0.7 * weight, 0, atol=1e-9)


def test_the_matrix_of_queries_is_the_inverse_covariance_without_the_means(known):
    p = known.pools
    every = np.concatenate([p.y_base, p.o_base]).astype(np.float64)
    covariance = np.cov(every.T, bias=True)
    inverse = np.linalg.inv(covariance + 0.1 * np.trace(covariance) / 32 * np.eye(32))
    query = whitened_queries(p, 0.1)
    means = [bank.astype(np.float64).mean(axis=0) for bank in (p.y_base, p.o_base)]
    assert all(np.allclose(query @ mean, 0, atol=1e-6 * np.abs(inverse).max()) for mean in means)
    across = np.linalg.svd(np.stack(means))[2][2:]  # everything but the means
    assert np.allclose(query @ across.T, inverse @ across.T, atol=1e-6 * np.abs(inverse).max())


@pytest.mark.parametrize("members", [(name,) for name in MEMBERS])
def test_a_member_alone_is_its_plain_definition(known, members):
    p = known.pools
    x = unit(known.x - p.x_leaf.mean(axis=0, dtype=np.float64))
    a, b = (v - v.mean(axis=0, dtype=np.float64) for v in (p.o_leaf, p.o_base))
    covariance = np.cov(a.T, bias=True)
    covariance += 0.1 * np.trace(covariance) / 32 * np.eye(32)
    values, vectors = np.linalg.eigh(covariance)
    white = vectors / values**0.5 @ vectors.T
    u, _, vt = np.linalg.svd(a.T @ b)
    rows = described(
        unit(x @ white).astype(np.float32), unit(a @ white).astype(np.float32), 50, 2.0
    )
    moved = {
        "hop": lambda: rows @ b,
        "ridge": lambda: x @ np.linalg.solve(a.T @ a + 0.3 * np.eye(32), a.T @ b),
        "rotation": lambda: x @ u @ vt,
    }[members[0]]()
    expected = unit(moved @ whitened_queries(p, 0.1))
    made = exmcr_plus(p, members=members, keep=50, share=0.0).leaf(known.x)
    assert made.dtype == np.float32 and np.allclose(made, expected, atol=1e-4)


def test_an_item_moves_toward_its_neighbors_by_the_formula():
    rng = np.random.default_rng(0)
    x, pool = (unit(rng.normal(size=(n, 4))).astype(np.float32) for n in (3, 7))
    weights = np.exp(x @ pool.T / 0.2)
    means = unit(weights / weights.sum(axis=1, keepdims=True) @ pool)
    assert np.allclose(toward_neighbors(x, pool, 0.7, 0.2), unit(x + 0.7 * means), atol=1e-5)
    assert np.array_equal(toward_neighbors(x, pool, 0.0, 0.2), x)


def test_the_neighbors_cancel_what_an_item_has_by_accident(known):
    """Each of 40 things was recorded ten times, with noise of its own."""
    rng, p = np.random.default_rng(2), known.pools
    things = known.x[:40]

    def recorded(times):
        clips = np.repeat(things, times, axis=0)
        return unit(clips + 0.25 * rng.normal(size=clips.shape)).astype(np.float32)

    pools = Pools(recorded(10), p.o_leaf, p.o_base, p.y_base)
    heard, truth = recorded(1), known.y[:40]
    with_neighbors, alone = (
        r1(exmcr_plus(pools, share=share, tau=0.1), heard, truth) for share in (1.0, 0.0)
    )
    assert with_neighbors > alone + 0.05


def test_a_pool_of_one_item_has_no_neighbors(known):
    p = known.pools
    maps = exmcr_plus(Pools(p.x_leaf[:1], p.o_leaf, p.o_base, p.y_base))
    assert np.isfinite(maps.leaf(known.x[1:])).all()


def test_matching_items_are_found_and_the_base_is_unchanged(known):
    maps = exmcr_plus(known.pools)
    assert maps.base is identity
    out = maps.leaf(known.x)
    assert np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    assert r1(maps, known.x, known.y) > 0.9


def shared(w, strength=2.0):
    """Both modalities of the base with one strong direction that says nothing about an item."""
    rng, p = np.random.default_rng(1), w.pools
    axis = unit(rng.normal(size=(1, p.o_base.shape[1])))

    def mixed(v):
        return unit(v + strength * rng.choice([-1, 1], size=(len(v), 1)) * axis).astype(np.float32)

    pools = Pools(p.x_leaf, p.o_leaf, mixed(p.o_base), mixed(p.y_base))
    return pools, mixed(w.y)


def test_strong_directions_that_say_nothing_do_not_decide(known):
    pools, y = shared(known)
    assert r1(exmcr_plus(pools), known.x, y) > r1(hop(pools, tau=0.02), known.x, y) + 0.2


def test_whitening_loses_if_the_weak_directions_are_noise():
    """With hardly any shrinkage, directions that hold noise count as much as the others."""
    w = world(n=300, noise=0.15, gap=0.1)
    r = {s: r1(exmcr_plus(w.pools, members=("ridge",), shrink=s), w.x, w.y) for s in (1e-3, 10.0)}
    assert r[1e-3] < r[10.0]


def test_the_result_does_not_depend_on_the_seed(known):
    first, other = (exmcr_plus(known.pools, seed).leaf(known.x) for seed in (0, 1))
    assert np.array_equal(first, other)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"members": ["hop", "telepathy"]}, "members are some of hop, ridge, rotation"),
        ({"members": []}, "members are some of"),
        ({"keep": 0}, "keep 0"),
        ({"alpha": 0.0}, "alpha 0.0"),
        ({"shrink": 0.0}, "shrink 0.0"),
        ({"share": -0.1}, "share -0.1"),
        ({"tau": 0.0}, "tau 0.0"),
    ],
)
def test_values_out_of_range_are_refused(known, wrong, message):
    with pytest.raises(ConfigError, match=message):
        exmcr_plus(known.pools, **wrong)
