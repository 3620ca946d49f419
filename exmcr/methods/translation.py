"""Latent space translation: standardize, rotate, and undo the standardization (Maiorca et al.,
NeurIPS 2023, arXiv:2311.00664)."""

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps, Method
from exmcr.pairing.pools import Pools


def translation(pools: Pools, seed: int = 0, *, center: str = "own") -> Maps:
    """x -> normalize(((x - mean) / std) R * std^B + mean^B), where R is the orthogonal Procrustes
    solution of the standardized overlap.

    center  the mean that is subtracted from x: "overlap", as in the paper, where x and overlap are
            one modality; or "own", that of the pool of the leaf, which also closes the modality gap
            [our addition]. Standard deviations are those of the overlap, per dimension

    Raises ConfigError for any other center.
    """
    if center not in ("own", "overlap"):
        raise ConfigError(f"translation: center must be 'own' or 'overlap', is {center!r}")
    a, b = np.asarray(pools.o_leaf, np.float64), np.asarray(pools.o_base, np.float64)
    (mean_a, std_a), (mean_b, std_b) = (
        (v.mean(axis=0), np.maximum(v.std(axis=0), 1e-8)) for v in (a, b)
    )
    u, _, vt = np.linalg.svd(((a - mean_a) / std_a).T @ ((b - mean_b) / std_b), full_matrices=False)
    mean = mean_a if center == "overlap" else np.asarray(pools.x_leaf, np.float64).mean(axis=0)
    return Maps(leaf=lambda x: unit((x - mean) / std_a @ (u @ vt) * std_b + mean_b))


METHODS = {"translation": Method(translation, "arXiv:2311.00664")}
