"""Baselines on spaces whose relation is known exactly."""

import numpy as np
import pytest

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.baselines import direct, hop, lstsq, procrustes
from exmcr.methods.maps import identity
from exmcr.pairing.pools import Pools

BASELINES = {"direct": direct, "lstsq": lstsq, "procrustes": procrustes, "hop": hop}


def vectors(n, d, seed):
    return unit(np.random.default_rng(seed).normal(size=(n, d)))


def pools(o_leaf, o_base):
    return Pools(o_leaf[:5], o_leaf, o_base, o_base[:5], {"leaf": "audio"})


def test_procrustes_recovers_a_rotation():
    o, x = vectors(100, 8, 0), vectors(20, 8, 1)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))[0]
    rotate = procrustes(pools(o, unit(o @ turn))).leaf
    assert np.allclose(rotate(x), x @ turn, atol=1e-5)
    back = rotate(np.eye(8, dtype=np.float32))
    assert np.allclose(back @ back.T, np.eye(8), atol=1e-5), "orthogonal"


def test_procrustes_is_orthogonal_even_if_the_true_map_is_not():
    rotate = procrustes(pools(vectors(100, 6, 0), vectors(100, 6, 1))).leaf
    rows = rotate(np.eye(6, dtype=np.float32))
    assert np.allclose(rows @ rows.T, np.eye(6), atol=1e-5)


def test_procrustes_embeds_a_small_space_in_a_larger_one():
    o, x = vectors(100, 5, 0), vectors(20, 5, 1)
    into = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))[0][:5]
    assert np.allclose(procrustes(pools(o, unit(o @ into))).leaf(x), x @ into, atol=1e-5)


def test_procrustes_does_not_depend_on_rounding_in_directions_without_variance():
    """Overlaps that span 4 of 8 directions, in another order: rounding differs, the map does not."""
    basis = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))[0][:4]
    o, base, x = vectors(100, 4, 0) @ basis, vectors(100, 4, 1) @ basis, vectors(20, 8, 3)
    order = np.random.default_rng(4).permutation(100)
    first, again = (
        procrustes(pools(unit(o[rows]), unit(base[rows]))).leaf(x)
        for rows in (np.arange(100), order)
    )
    assert np.allclose(first, again, atol=1e-5)


def test_lstsq_recovers_a_linear_map():
    o, x = vectors(100, 8, 0), vectors(20, 8, 1)
    weight = np.random.default_rng(2).normal(size=(8, 6))
    # Least squares recovers W only if base vectors are not normalized.
    p = pools(o, unit(o @ weight))
    p.o_base = (o @ weight).astype(np.float32)
    assert np.allclose(lstsq(p).leaf(x), unit(x @ weight), atol=1e-4)


def test_lstsq_of_fewer_items_than_dimensions_reproduces_them():
    o, base = vectors(5, 8, 0), vectors(5, 6, 1)
    assert np.allclose(lstsq(pools(o, base)).leaf(o), base, atol=1e-4)


def test_hop_takes_the_base_vector_of_the_nearest_overlap_item():
    o, base = np.eye(6, dtype=np.float32), vectors(6, 4, 0)
    x = unit(np.eye(6) + 0.1 * np.random.default_rng(1).normal(size=(6, 6)))[[3, 0, 5]]
    assert np.allclose(hop(pools(o, base), tau=0.01).leaf(x), base[[3, 0, 5]], atol=1e-3)


@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0])
def test_hop_is_a_softmax_over_overlap_items_in_the_leaf_and_then_their_base_vectors(tau):
    o, base, x = vectors(12, 5, 0), vectors(12, 7, 1), vectors(9, 5, 2)
    weights = np.exp(x.astype(float) @ o.T / tau)
    rows = (weights / weights.sum(axis=1, keepdims=True)) @ base
    assert np.allclose(hop(pools(o, base), tau=tau).leaf(x), unit(rows), atol=1e-5)


def test_direct_leaves_vectors_unchanged():
    p = pools(vectors(10, 4, 0), vectors(10, 4, 1))
    assert direct(p).leaf(p.x_leaf) is p.x_leaf


def test_direct_refuses_unequal_dimensions():
    with pytest.raises(ConfigError, match="leaf has 4, base 6"):
        direct(pools(vectors(10, 4, 0), vectors(10, 6, 1)))


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_gives_unit_rows_and_leaves_the_base_unchanged(name):
    p = pools(vectors(30, 6, 0), vectors(30, 6, 1))
    maps = BASELINES[name](p, seed=3)
    out = maps.leaf(vectors(9, 6, 2))
    assert out.shape == (9, 6) and out.dtype == np.float32
    assert np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    assert maps.base is identity and maps.base(p.y_base) is p.y_base
