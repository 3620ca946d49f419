"""What every method returns: maps of both spaces into a common one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from exmcr.common.errors import ConfigError


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
