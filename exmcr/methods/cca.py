"""Canonical correlation: compare leaf and base in the subspace they share.

"Escaping Plato's Cave" (Hadgi et al., CVPR 2025, arXiv:2503.05283) finds that frozen 3D and text spaces agree far better after
projection to a low-dimensional CCA subspace. The base does not stay untouched: it too is cut down to that subspace."""

import numpy as np

from exmcr.errors import ConfigError
from exmcr.methods import Maps
from exmcr.pairs import Pools
from exmcr.spaces.base import unit


def cca(pools: Pools, seed: int = 0, *, dims: int = 64, shrink: float = 0.1, power: float = 1.0) -> Maps:
    """Both sides to the `dims` directions in which the overlap correlates most, each times its correlation ** power.

    shrink     covariances are C + shrink * trace(C) / d * I, so that few items do not make noise correlate [assumed]
    power      0: all directions count the same; 1: as they correlate [assumed]
    x is centred at the mean of its own pool and the base at that of the overlap: the paper's affine shift between the clouds
    [assumed]. Raises ConfigError for more dims than the smaller space has."""
    o_leaf, o_base = np.asarray(pools.o_leaf, np.float64), np.asarray(pools.o_base, np.float64)
    if not 1 <= dims <= min(o_leaf.shape[1], o_base.shape[1]):
        raise ConfigError(f"cca: dims is between 1 and {min(o_leaf.shape[1], o_base.shape[1])}, not {dims}")
    mean = o_base.mean(axis=0)
    a, b = o_leaf - o_leaf.mean(axis=0), o_base - mean
    white_a, white_b = _whitening(a, shrink), _whitening(b, shrink)
    u, correlation, vt = np.linalg.svd(white_a @ (a.T @ b / len(a)) @ white_b)
    weight = correlation[:dims] ** (power / 2)  # on either side, so that products carry correlation ** power
    to_leaf, to_base = white_a @ u[:, :dims] * weight, white_b @ vt[:dims].T * weight
    own = np.asarray(pools.x_leaf, np.float64).mean(axis=0)
    return Maps(leaf=lambda x: unit((x - own) @ to_leaf), base=lambda y: unit((y - mean) @ to_base))


def _whitening(centred: np.ndarray, shrink: float) -> np.ndarray:
    """C^(-1/2) of the shrunk covariance, symmetric."""
    d = centred.shape[1]
    covariance = centred.T @ centred / len(centred)
    values, vectors = np.linalg.eigh(covariance + shrink * np.trace(covariance) / d * np.eye(d))
    floor = values[-1] * 1e-10  # a direction without any variance has no correlation either
    return vectors * np.where(values > floor, np.maximum(values, floor) ** -0.5, 0) @ vectors.T
