"""A regularized linear map: the mapping between two spaces on shared items in SITTA (Paischer et
al. 2023, arXiv:2307.05591)."""

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps, Method
from exmcr.pairing.pools import Pools


def ridge_matrix(o_leaf: np.ndarray, o_base: np.ndarray, alpha: float) -> np.ndarray:
    """argmin |O^L W - O^B|^2 + alpha |W|^2: (d_leaf, d_base), float64."""
    o = np.asarray(o_leaf, np.float64)
    return np.linalg.solve(o.T @ o + alpha * np.eye(o.shape[1]), o.T @ o_base)


def ridge(pools: Pools, seed: int = 0, *, alpha: float = 1.0) -> Maps:
    """x -> normalize(x W), W by `ridge_matrix`.

    alpha > 0 is absolute; with unit rows the mean eigenvalue of O^L^T O^L is n / d. Least squares
    overfits directions in which the overlap hardly varies, and another modality may vary there.
    Raises ConfigError for alpha <= 0.
    """
    if alpha <= 0:
        raise ConfigError(f"ridge needs alpha > 0, got {alpha}; without it the map is 'lstsq'")
    weight = ridge_matrix(pools.o_leaf, pools.o_base, alpha)
    return Maps(leaf=lambda x: unit(x @ weight))


METHODS = {"ridge": Method(ridge, "arXiv:2307.05591")}
