"""Canonical correlation analysis: compare leaf and base in the subspace that they share.

"Escaping Plato's Cave" (Hadgi et al., CVPR 2025, arXiv:2503.05283) finds that frozen 3D and text
spaces agree far better after projection to a low-dimensional CCA subspace. The base changes: it too
is projected to that subspace.
"""

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps, Method
from exmcr.pairing.pools import Pools


def cca(
    pools: Pools, seed: int = 0, *, dims: int = 64, shrink: float = 0.1, power: float = 1.0
) -> Maps:
    """Project both sides to the `dims` directions in which the overlap correlates most, each
    weighted by its correlation ** power.

    shrink  covariances are C + shrink * trace(C) / d * I, which keeps noise from correlating if
            items are few [assumed]
    power   0: equal weights; 1: weights proportional to the correlation [assumed]

    x is centered at the mean of its own pool and the base at that of the overlap: the affine shift
    between the clouds in the paper [assumed]. Raises ConfigError for more dims than the smaller
    space has.
    """
    to_leaf, to_base, correlation = canonical(pools.o_leaf, pools.o_base, dims, shrink)
    weight = correlation ** (power / 2)  # on each side; products have correlation ** power
    x_mean = np.asarray(pools.x_leaf, np.float64).mean(axis=0)
    o_mean = np.asarray(pools.o_base, np.float64).mean(axis=0)
    return Maps(
        leaf=lambda x: unit((x - x_mean) @ to_leaf * weight),
        base=lambda y: unit((y - o_mean) @ to_base * weight),
    )


def canonical(
    a: np.ndarray, b: np.ndarray, dims: int, shrink: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Canonical directions of matching rows a (n, d_a), b (n, d_b).

    Returns directions (d_a, dims) and (d_b, dims), and their correlations (dims,), in falling
    order. Along them the centered rows have unit variance, by the shrunk covariance. Raises
    ConfigError for more dims than the smaller side has.
    """
    most = min(a.shape[1], b.shape[1])
    if not 1 <= dims <= most:
        raise ConfigError(f"cca: dims must be between 1 and {most}, is {dims}")
    a, b = (np.asarray(v, np.float64) - np.mean(v, axis=0, dtype=np.float64) for v in (a, b))
    white_a, white_b = whitening(a, shrink), whitening(b, shrink)
    u, correlation, vt = np.linalg.svd(white_a @ (a.T @ b / len(a)) @ white_b)
    return white_a @ u[:, :dims], white_b @ vt[:dims].T, correlation[:dims]


def whitening(centered: np.ndarray, shrink: float, power: float = -0.5) -> np.ndarray:
    """C ** power of the covariance C + shrink * trace(C) / d * I of centered rows (n, d), symmetric
    (d, d). Directions without variance map to zero."""
    centered = np.asarray(centered, np.float64)
    d = centered.shape[1]
    covariance = centered.T @ centered / len(centered)
    values, vectors = np.linalg.eigh(covariance + shrink * np.trace(covariance) / d * np.eye(d))
    floor = values[-1] * 1e-10  # a direction without variance has no correlation either
    return vectors * np.where(values > floor, np.maximum(values, floor) ** power, 0) @ vectors.T


METHODS = {"cca": Method(cca, "arXiv:2503.05283")}
