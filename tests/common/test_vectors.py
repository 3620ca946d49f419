"""Rows of unit norm."""

import numpy as np
import pytest

from exmcr.common.vectors import unit


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (0, 5)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_keep_their_direction_and_get_unit_norm(shape, dtype):
    rows = np.random.default_rng(0).normal(size=shape).astype(dtype)
    result = unit(rows)
    assert result.dtype == np.float32 and result.shape == shape
    assert np.allclose(np.linalg.norm(result, axis=-1), 1, atol=1e-3)
    exact = rows.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=-1, keepdims=True)
    assert np.allclose(result, exact, atol=1e-3)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_rows_without_a_direction_are_refused_with_their_number(bad):
    rows = np.ones((4, 3))
    rows[[1, 3]] = bad
    with pytest.raises(FloatingPointError, match="^gallery: 2 of 4 rows are NaN, infinite or zero"):
        unit(rows, "gallery")
