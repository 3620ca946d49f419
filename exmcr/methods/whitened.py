"""ASIF with whitened inner products, after Svendsen et al. (arXiv:2605.30596).

Cosines to anchors change under shifts and under scaling of single directions. Whitened inner
products do not: (v - mean) C^-1 (a - mean), with the mean and the covariance C of a space. They
also keep the magnitude of the anchors. The learned anchors of the paper are left out: the anchors
are the overlap items, as in ASIF (arXiv:2210.01738).
"""

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.methods.cca import whitening
from exmcr.methods.maps import Map, Maps, Method
from exmcr.methods.relative import described, sparse_maps
from exmcr.pairing.pools import Pools


def whitened_asif(
    pools: Pools, seed: int = 0, *, keep: int = 400, power: float = 2.0, shrink: float = 0.1
) -> Maps:
    """ASIF between whitened spaces; the base changes.

    keep, power  as in `relative.asif`
    shrink       covariances are C + shrink * trace(C) / d * I [ours]

    Means and covariances are those of the overlap; x is centered at the mean of its own pool
    [ours]. Raises ConfigError for keep < 1 or shrink < 0.
    """
    if keep < 1 or shrink < 0:
        raise ConfigError(
            f"asif-whitened needs keep >= 1 and shrink >= 0, got keep {keep}, shrink {shrink}"
        )
    x_mean = np.mean(pools.x_leaf, axis=0, dtype=np.float64)
    leaf_mean, to_leaf = _whitened(pools.o_leaf, shrink)
    base_mean, to_base = _whitened(pools.o_base, shrink)
    a_leaf, a_base = to_leaf(pools.o_leaf - leaf_mean), to_base(pools.o_base - base_mean)
    return sparse_maps(
        lambda x: described(to_leaf(x - x_mean), a_leaf, keep, power),
        lambda y: described(to_base(y - base_mean), a_base, keep, power),
    )


def _whitened(overlap: np.ndarray, shrink: float) -> tuple[np.ndarray, Map]:
    """The mean of the overlap in a space, and the map of centered rows to whitened float32 rows,
    scaled so that rows of the overlap have a mean squared norm of 1."""
    mean = np.asarray(overlap, np.float64).mean(axis=0)
    matrix = whitening(overlap - mean, shrink)
    scale = np.linalg.norm((overlap - mean) @ matrix) / len(overlap) ** 0.5
    return mean, lambda rows: (rows @ (matrix / scale)).astype(np.float32)


METHODS = {"asif-whitened": Method(whitened_asif, "arXiv:2605.30596")}
