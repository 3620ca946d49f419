"""Means subtracted, against cones and gaps between modalities (exmcr/experiments/cones.py).

Vectors of one modality often share a large constant: they lie in a cone, and the cones of two
modalities are apart (arXiv:2203.02053). Similarities then differ little, so softmax weights are
flat and noise drowns what is left.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from exmcr.common.vectors import unit
from exmcr.pairing.pools import PARTS, Pools


def mean_of(vectors: np.ndarray) -> np.ndarray:
    """(n, d) -> the mean of the rows, (d,), float64. Of unit rows its norm is between 0 and 1: the
    strength of the cone."""
    return np.asarray(vectors.mean(axis=0, dtype=np.float64))


def centered(pools: Pools) -> Pools:
    """The same items, with the mean of each pool subtracted and rows normalized again.

    Raises FloatingPointError for a row that equals its mean.
    """
    moved: dict[str, Any] = {}
    for part in PARTS:
        rows = getattr(pools, part)
        moved[part] = unit(rows - mean_of(rows), f"{part} without its mean")
    return replace(pools, **moved)
