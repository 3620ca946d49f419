"""What every method returns: maps of both spaces into a common one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from exmcr.common.errors import ConfigError

Map = Callable[[np.ndarray], np.ndarray]


class NotApplicable(ConfigError):
    """A method cannot be fitted to these spaces, whatever the data; tables then lack its rows."""


def identity(vectors: np.ndarray) -> np.ndarray:
    """The map of an unchanged base; `maps.base is identity` tells whether a base is unchanged."""
    return vectors


@dataclass
class Maps:
    """Maps of the leaf modality x, (n, d_leaf) -> (n, d), and of base vectors, (n, d_base) ->
    (n, d), into a common space; all rows are of unit norm."""

    leaf: Map
    base: Map = identity
