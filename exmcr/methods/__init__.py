"""Ways to bring a leaf into the base, all behind one interface: fit(pools, seed) -> Maps.

A method sees the unpaired pools of one leaf (exmcr.pairs.Pools) and nothing else. What it returns maps vectors of the
leaf, and of the base, into a common space; for Ex-MCR and the linear maps that is the base itself, untouched."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from exmcr.errors import ConfigError


class NotApplicable(ConfigError):
    """The method cannot be fitted to these spaces, whatever the data; the results table goes without it."""


def identity(vectors: np.ndarray) -> np.ndarray:
    """The map of a base that is left as it is; `maps.base is identity` tells."""
    return vectors


@dataclass
class Maps:
    """leaf: (n, d_leaf) -> (n, d), for the leaf's own modality x; base: (n, d_base) -> (n, d); all unit rows."""

    leaf: Callable[[np.ndarray], np.ndarray]
    base: Callable[[np.ndarray], np.ndarray] = identity
