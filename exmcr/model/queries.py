"""Arithmetic of unit vectors: cosines, and sums of queries."""

from collections.abc import Sequence

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines of unit rows (n, d) and (m, d): (n, m), in [-1, 1]. Raises ConfigError for other
    shapes."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ConfigError(f"similarity needs (n, d) and (m, d), not {a.shape} and {b.shape}")
    return a @ b.T


def combine(queries: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """The normalized weighted sum of queries, e.g. of a sound and an image.

    queries  arrays (n, d) of unit rows, all of one shape
    weights  one finite number each, default 1; a negative one means "but not"

    Returns float32 (n, d) unit rows. Raises ConfigError for arrays or weights that do not fit,
    FloatingPointError if a sum is zero.
    """
    shapes = [np.shape(query) for query in queries]
    if len(set(shapes)) != 1 or len(shapes[0]) != 2:
        raise ConfigError(f"queries to be summed must be arrays (n, d) of one shape, not {shapes}")
    weights = [1.0] * len(queries) if weights is None else list(weights)
    if len(weights) != len(queries) or not np.isfinite(weights).all():
        raise ConfigError(f"{len(queries)} queries need as many finite weights, not {weights}")
    weighted = [w * np.asarray(q, np.float32) for w, q in zip(weights, queries)]
    return unit(np.sum(weighted, axis=0), "weighted sum")
