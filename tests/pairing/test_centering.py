"""Pairs of centered pools, on disk."""

import numpy as np
import pytest
from synthetic import world

from exmcr.common.errors import ConfigError
from exmcr.pairing import pairs
from exmcr.pairing.centering import centered, mean_of


def test_stored_pairs_are_those_of_centered_pools(tmp_path):
    pools = world(n=60, gap=1.0).pools
    pairs.build(pools, tmp_path, ["overlap", "leaf"], 0.1, subtract_mean=True)
    stored = pairs.load(tmp_path, ["overlap", "leaf"])
    expected = [pairs.quadruples(centered(pools), c, 0.1) for c in ("overlap", "leaf")]
    for part, rows in pairs.union(expected).items():
        assert np.array_equal(stored[part].numpy(), rows.numpy()), part
    norms = pairs.recorded_norms(tmp_path)
    assert norms["x_leaf"] > 0.5, "of the pools as they were"


def test_pairs_of_the_other_setting_are_refused(tmp_path):
    pools = world(n=30).pools
    pairs.build(pools, tmp_path, ["overlap"], 0.1)
    pairs.check(tmp_path, ["overlap"], 0.1, {})
    with pytest.raises(ConfigError, match=r"other inputs \(subtract_mean\)"):
        pairs.check(tmp_path, ["overlap"], 0.1, {}, subtract_mean=True)


def test_a_row_that_equals_its_mean_has_no_direction():
    pools = world(n=20).pools
    pools.x_leaf = np.repeat(np.eye(1, 32, dtype=np.float32), 4, axis=0)
    with pytest.raises(FloatingPointError, match="x_leaf without its mean: 4 of 4"):
        centered(pools)


def test_the_mean_is_summed_in_double_precision():
    rows = np.full((100_000, 2), [0.6, 0.8], np.float32)
    assert np.allclose(mean_of(rows), [0.6, 0.8], atol=1e-7)
