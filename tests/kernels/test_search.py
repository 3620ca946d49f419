"""Exact top-k against a full sort in float64."""

import numpy as np
import pytest

from exmcr.kernels import tiles
from exmcr.kernels.search import topk


def unit(n, d=48, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, d)) + 0.3
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(tiles, "BLOCK", 300)


@pytest.mark.parametrize("k", [1, 7, 250])
@pytest.mark.parametrize("tile", [None, (33, 100)])
def test_topk_equals_a_full_sort(k, tile):
    queries, keys = unit(75, seed=1), unit(1003, seed=2)
    scores, indices = topk(queries, keys, k, tile=tile, device="cpu")
    full = queries.astype(np.float64) @ keys.T.astype(np.float64)
    assert np.allclose(scores, -np.sort(-full, axis=1)[:, :k], atol=1e-6)
    assert np.allclose(np.take_along_axis(full, indices, axis=1), scores, atol=1e-6)
    assert all(len(set(row)) == k for row in indices.tolist())


def test_every_one_of_equal_keys_is_returned_once():
    keys = np.repeat(unit(3, seed=2), 4, axis=0)
    scores, indices = topk(unit(5, seed=1), keys, 12, tile=(2, 5), device="cpu")
    assert all(sorted(row) == list(range(12)) for row in indices.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()
