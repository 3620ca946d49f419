"""What a projector has to beat. All are fitted on the overlap only (the same items in both spaces); none is trained."""

import numpy as np

from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps, NotApplicable, identity
from exmcr.pairing.aggregation import aggregate
from exmcr.pairing.pools import Pools


def direct(pools: Pools, seed: int = 0) -> Maps:
    """Compare leaf and base vectors as they are. Chance, unless the spaces are aligned by luck. Raises
    NotApplicable when dimensions differ."""
    if pools.o_leaf.shape[1] != pools.o_base.shape[1]:
        raise NotApplicable(
            f"direct cosine needs equal dimensions, leaf has {pools.o_leaf.shape[1]}, base {pools.o_base.shape[1]}"
        )
    return Maps(leaf=identity)


def lstsq(pools: Pools, seed: int = 0) -> Maps:
    """W = argmin |O^L W - O^B|, minimum norm; x -> normalize(x W)."""
    weight = np.linalg.lstsq(
        np.asarray(pools.o_leaf, np.float64), np.asarray(pools.o_base, np.float64), rcond=None
    )[0]
    return Maps(leaf=lambda x: unit(x @ weight))


def procrustes(pools: Pools, seed: int = 0) -> Maps:
    """The orthogonal R that minimizes |O^L R - O^B| (Schoenemann 1966); x -> normalize(x R).

    Directions in which the overlap does not vary can be turned anyhow, and rounding would decide; R maps them to zero."""
    u, strength, vt = np.linalg.svd(
        np.asarray(pools.o_leaf, np.float64).T @ pools.o_base, full_matrices=False
    )
    rank = int((strength > strength[0] * len(u) * np.finfo(np.float64).eps).sum())
    rotation = u[:, :rank] @ vt[:rank]
    return Maps(leaf=lambda x: unit(x @ rotation))


def hop(pools: Pools, seed: int = 0, *, tau: float = 0.01) -> Maps:
    """No parameters: x -> softmax(x O^L / tau) O^B, that is, what its nearest overlap items look like in the base."""
    return Maps(leaf=lambda x: aggregate(x, pools.o_leaf, [pools.o_base], tau)[0])
