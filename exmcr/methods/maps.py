"""What every method returns, and what the comparison must know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from exmcr.common.errors import ConfigError

Map = Callable[[np.ndarray], np.ndarray]
SparseMap = Callable[[np.ndarray], csr_array]


class NotApplicable(ConfigError):
    """A method cannot be fitted to these spaces, whatever the data; tables then lack its rows."""


def identity(vectors: np.ndarray) -> np.ndarray:
    """The map of an unchanged base; `maps.base is identity` tells whether a base is unchanged."""
    return vectors


@dataclass
class Maps:
    """Maps of the leaf modality x, (n, d_leaf) -> (n, d), and of base vectors, (n, d_base) ->
    (n, d), into a common space; all rows are of unit norm.

    A common space of many dimensions, few of them nonzero in a row, also has both maps as `sparse`:
    (leaf, base), with the same rows.
    """

    leaf: Map
    base: Map = identity
    sparse: tuple[SparseMap, SparseMap] | None = None


@dataclass(frozen=True)
class Method:
    """An entry of the comparison.

    fit       fit(pools, seed, **settings) -> Maps
    paper     its source
    seeded    whether the result depends on the seed; if not, it is fitted once
    settings  (params, leaf name) -> keyword arguments of fit that depend on the leaf or come from
              other blocks of params.yaml; those under `compare` take precedence
    after     post-processor (exmcr/methods/postprocessing.py), applied to the maps of fit. Such an
              entry is named <method>+<post-processor>: its fit has the settings of the method, its
              own settings are those of the post-processor
    """

    fit: Callable[..., Maps]
    paper: str = ""
    seeded: bool = False
    settings: Callable[[Any, str], dict] | None = None
    after: Callable[..., np.ndarray] | None = None
