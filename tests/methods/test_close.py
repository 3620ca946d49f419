"""CLOSE: a head trained on overlap items that are moved to where the other modality lies."""

import numpy as np
import pytest
from synthetic import r1, world

from exmcr.methods.close import close, disguised
from exmcr.methods.maps import identity

SMALL = {"hidden": 64, "batch": 128, "steps": 60, "lr": 0.003, "tau1": 0.05, "noise": 0.0}


def test_the_shift_carries_a_head_across_a_wide_gap():
    wide = world(n=300, gap=3.0)
    with_shift = close(wide.pools, 0, shape=0.0, shift=1.0, **SMALL)
    without = close(wide.pools, 0, shape=0.0, shift=0.0, **SMALL)
    assert with_shift.base is identity
    ours, plain = (r1(maps, wide.x, wide.y) for maps in (with_shift, without))
    assert ours > plain + 0.5, (ours, plain)


def test_it_fails_if_the_modalities_differ_by_more_than_an_offset():
    """The leaf's own modality turned away from its overlap: no offset brings them together."""
    known = world()
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(32, 32)))[0].astype(np.float32)
    known.pools.x_leaf = known.pools.x_leaf @ turn
    assert r1(close(known.pools, 0, **SMALL), known.x @ turn, known.y) < 0.2


def test_shift_and_noise_have_the_mean_and_covariance_of_the_differences():
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(4, 4))
    differences = (rng.normal(size=(1000, 4)) @ mixed + [1, 2, 3, 4]).astype(np.float32)
    # Far from the origin, so that normalization hardly bends the differences.
    far = np.full((4000, 4), 1e4, np.float32)
    moved = disguised(far, differences, shape=1.0, shift=1.0, seed=0).astype(np.float64)
    scaled = moved * np.linalg.norm(far[0] + [1, 2, 3, 4])
    expected = np.cov(differences.T)
    flat = np.eye(4) - 0.25  # what normalization leaves: parts across the direction of the rows
    got = np.cov(scaled.T)
    assert np.abs(got - flat @ expected @ flat).max() < 0.15 * np.abs(expected).max()


@pytest.mark.parametrize("shape, shift", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
def test_the_parts_can_be_switched_off(shape, shift):
    rows = world(n=50).pools.o_leaf
    differences = np.random.default_rng(0).normal(size=(30, 32)).astype(np.float32)
    moved = disguised(rows, differences, shape, shift, 0)
    assert np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    assert np.allclose(moved, rows, atol=1e-6) == (shape == shift == 0)
