"""Where a leaf meets the base, or another leaf: the rows that are compared."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from exmcr.common.vectors import unit
from exmcr.kernels.search import topk
from exmcr.methods.maps import Maps, identity

BRIDGE = 10  # overlap items whose mean stands in for a vector of a space that is not the base

Rows = Any  # unit rows (n, d): ndarray or csr_array


def both(maps: Maps) -> tuple[Callable[[np.ndarray], Rows], Callable[[np.ndarray], Rows]]:
    """(leaf, base) of maps, sparse if they are."""
    return maps.sparse or (maps.leaf, maps.base)


def dense(values: Rows) -> np.ndarray:
    """A sparse array as a dense one; a dense one as it is."""
    return values.toarray() if isinstance(values, csr_array) else values


def into_base(
    maps: Maps, vectors: np.ndarray, o_base: np.ndarray, bridge: Rows | None = None
) -> np.ndarray:
    """Leaf vectors (n, d_leaf) as vectors of the base (n, d_base), where two leaves can meet.

    A method that extends the base maps them there. A method with a common space per leaf has no
    map from leaf to leaf: each vector becomes the mean of the BRIDGE overlap items nearest to it
    in that space. o_base: overlap items in the base, (m, d_base); bridge: the same items in the
    common space, if they are known.
    """
    if maps.base is identity:
        return maps.leaf(vectors)
    leaf, base = both(maps)
    rows, keys, most = leaf(vectors), bridge, min(BRIDGE, len(o_base))
    if keys is None:
        keys = base(o_base)
    if isinstance(rows, csr_array):
        similarity = (rows @ keys.T).toarray()
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :most]
    else:
        nearest = topk(rows, keys, most).indices
    return unit(o_base[nearest].mean(axis=1))
