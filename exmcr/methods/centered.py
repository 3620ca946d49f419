"""Any method on centered pools, with the base unchanged.

The mean of each pool is subtracted for the weights and the loss (exmcr/pairing/centering.py). Leaf
vectors are centered before they are mapped. Base vectors stay as they are if the method leaves them
unchanged: a leaf vector mapped by a centered fit has no component along the mean of the base, so
the mean adds about the same to all its similarities.
"""

from collections.abc import Callable

import numpy as np

from exmcr.common.vectors import unit
from exmcr.methods.maps import Map, Maps, identity
from exmcr.pairing.centering import centered, mean_of
from exmcr.pairing.pools import Pools


def on_centered(fit: Callable[..., Maps]) -> Callable[..., Maps]:
    """fit(pools, seed, **settings) of centered pools, as maps of vectors that are not centered."""

    def fitted(pools: Pools, seed: int = 0, **settings) -> Maps:
        maps = fit(centered(pools), seed, **settings)
        base = maps.base
        if base is not identity:
            base = _after(base, mean_of(pools.y_base))
        return Maps(leaf=_after(maps.leaf, mean_of(pools.x_leaf)), base=base)

    return fitted


def _after(apply: Map, mean: np.ndarray) -> Map:
    """The map of v -> normalize(v - mean)."""
    return lambda vectors: apply(unit(vectors - mean))
