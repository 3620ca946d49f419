"""Rows of unit norm."""

import numpy as np


def unit(vectors: np.ndarray, what: str = "vectors") -> np.ndarray:
    """Scale rows (..., d) to unit norm, float32. `what` names them in errors.

    Raises FloatingPointError for NaN, infinite or zero rows.
    """
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    bad = ~np.isfinite(norm) | (norm == 0)
    if bad.any():
        raise FloatingPointError(
            f"{what}: {int(bad.sum())} of {norm.size} rows are NaN, infinite or zero"
        )
    return (vectors / norm).astype(np.float32)
