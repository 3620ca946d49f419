"""Baselines without training: fitted on the overlap only, the same items in both spaces."""

import numpy as np

from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps, Method, NotApplicable, identity
from exmcr.pairing.aggregation import aggregate
from exmcr.pairing.pools import Pools


def direct(pools: Pools, seed: int = 0) -> Maps:
    """Compare leaf and base vectors as they are: chance, unless the spaces happen to be aligned.

    Raises NotApplicable if dimensions differ.
    """
    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    if d_leaf != d_base:
        raise NotApplicable(
            f"direct cosine needs equal dimensions, leaf has {d_leaf}, base {d_base}"
        )
    return Maps(leaf=identity)


def lstsq(pools: Pools, seed: int = 0) -> Maps:
    """W = argmin |O^L W - O^B|, of minimum norm; x -> normalize(x W)."""
    o_leaf, o_base = (np.asarray(o, np.float64) for o in (pools.o_leaf, pools.o_base))
    weight = np.linalg.lstsq(o_leaf, o_base, rcond=None)[0]
    return Maps(leaf=lambda x: unit(x @ weight))


def rotation(o_leaf: np.ndarray, o_base: np.ndarray) -> np.ndarray:
    """R = argmin |O^L R - O^B| over orthogonal R (Schönemann 1966): (d_leaf, d_base), float64.

    R is undetermined in directions in which the overlap does not vary; it maps them to zero, so
    that rounding does not decide.
    """
    cross = np.asarray(o_leaf, np.float64).T @ o_base
    u, strength, vt = np.linalg.svd(cross, full_matrices=False)
    rank = int((strength > strength[0] * len(u) * np.finfo(np.float64).eps).sum())
    return u[:, :rank] @ vt[:rank]


def procrustes(pools: Pools, seed: int = 0) -> Maps:
    """x -> normalize(x R), R by `rotation`."""
    turn = rotation(pools.o_leaf, pools.o_base)
    return Maps(leaf=lambda x: unit(x @ turn))


def hop(pools: Pools, seed: int = 0, *, tau: float = 0.02) -> Maps:
    """The hop, or text bridge: x -> normalize(softmax(x O^L / tau) O^B).

    A leaf vector becomes the mean of the base vectors of the overlap items (texts, for a sound)
    that it resembles in the leaf. It has no parameters but the temperature.
    """
    return Maps(leaf=lambda x: aggregate(x, pools.o_leaf, [pools.o_base], tau)[0])


METHODS = {
    "direct": Method(direct),
    "lstsq": Method(lstsq),
    "procrustes": Method(procrustes, "Schönemann 1966"),
    "hop": Method(hop),
}
