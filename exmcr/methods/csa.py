"""Canonical similarity analysis: CSA (Li, Chinchali and Topcu, ICLR 2025, arXiv:2410.07610).

Two frozen encoders are compared in their canonical subspace by a weighted cosine, in which each
direction counts by its canonical correlation. This row has the defaults of the paper: no shrinkage,
both sides centered at the means of the paired items, here the overlap. `cca` is the same idea with
settings for spaces in which x differs from the overlap.
"""

import numpy as np

from exmcr.common.vectors import unit
from exmcr.methods.cca import canonical
from exmcr.methods.maps import Maps, Method
from exmcr.pairing.pools import Pools


def csa(pools: Pools, seed: int = 0, *, dims: int = 200) -> Maps:
    """cosine = sum_k rho_k a_k b_k / norms, over the `dims` leading canonical directions a, b with
    correlations rho.

    dims   the paper chooses it for each pair of encoders [200 assumed]; at most the dimension of
           the smaller space

    The norms in the denominator carry the same weights [assumed].
    """
    dims = min(dims, pools.o_leaf.shape[1], pools.o_base.shape[1])
    to_leaf, to_base, correlation = canonical(pools.o_leaf, pools.o_base, dims, shrink=0.0)
    weight = correlation**0.5  # on each side
    leaf_mean, base_mean = (
        np.asarray(o, np.float64).mean(axis=0) for o in (pools.o_leaf, pools.o_base)
    )
    return Maps(
        leaf=lambda x: unit((x - leaf_mean) @ to_leaf * weight),
        base=lambda y: unit((y - base_mean) @ to_base * weight),
    )


METHODS = {"csa": Method(csa, "arXiv:2410.07610")}
