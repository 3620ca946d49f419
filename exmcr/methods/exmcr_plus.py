"""exmcr+: Ex-MCR's own pseudo pairs read once more, as an answer and not only as a lesson. Ours; beside the paper's `exmcr`.

Two findings on validation concepts made it. The aggregation that makes x-centric pseudo pairs is a better map than what a
projector learns from few sounds; followed into the other modality, x -> o -> y, it lands among pictures, not among words, and
so on the near side of the base's modality gap. And a projector trained on x-centric pairs only, with a linear f_m, errs
elsewhere: a share of it helps."""

import numpy as np

from exmcr.aggregate import aggregate
from exmcr.methods import Maps, exmcr
from exmcr.pairs import Pools
from exmcr.spaces.base import unit


def two_steps(pools: Pools, tau: float, tau_y: float, share_y: float) -> Maps:
    """x -> o^B = agg(x -> O^L; O^B) at tau, then y^B = agg(o^B -> Y^B) at tau_y -> normalize((1 - share_y) o^B + share_y y^B).

    The base stays as it is. With share_y 0 it is the hop."""

    def leaf(x: np.ndarray) -> np.ndarray:
        o = aggregate(x, pools.o_leaf, pools.o_base, tau).values[0]
        y = aggregate(o, pools.y_base, pools.y_base, tau_y).values[0]
        return unit((1 - share_y) * o + share_y * y)

    return Maps(leaf=leaf)


def exmcr_plus(pools: Pools, seed: int = 0, *, pair: dict, train: dict, tau: float = 0.01, tau_y: float = 0.02, share_y: float = 0.5,
               share_projector: float = 0.25, steps: int = 300) -> Maps:  # fmt: skip
    """normalize((1 - share_projector) two_steps(x) + share_projector projector(x)); the banks are needed at use, as for the hop.

    pair (tau1), train: those of Ex-MCR for this leaf; the projector differs from it in centres (x only), depth of f_m (linear)
    and steps. tau 0.01 to 0.02, tau_y 0.01 to 0.03, share_y 0.3 to 0.6 and share_projector 0 to 0.5 were tried on validation
    concepts. Raises ConfigError for values that cannot be."""
    projector = exmcr.fit(pools, seed, pair=pair | {"centres": ["leaf"]}, train=train | {"depth_inter": "linear", "steps": steps})
    near = two_steps(pools, tau, tau_y, share_y)
    return Maps(leaf=lambda x: unit((1 - share_projector) * near.leaf(x) + share_projector * projector.leaf(x)))
