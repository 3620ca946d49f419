"""exmcr+ (ours): Ex-MCR with an unchanged base, combined with linear probes of the overlap items.

The hop (text bridge) maps a sound to the base vectors of the texts that it resembles. But the
vector of a text is a poor detector of the images that it describes: there is a gap between
modalities, and the vectors of similar texts are nearly parallel. Here every overlap item gets a
linear probe in the base instead, fitted by ridge regression to how strongly the unpaired base items
resemble it (pseudo-labels, as in the descriptions of ASIF, arXiv:2210.01738); a sound maps to the
sum of the probes of the texts that it resembles. Before that, a sound moves towards the training
sounds near it. The result is averaged with a projector trained on leaf-centered pseudo-pairs with a
linear f_m, whose errors differ. All this was chosen on validation concepts.
"""

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods import exmcr
from exmcr.methods.maps import Maps, Method
from exmcr.methods.relative import described
from exmcr.pairing.aggregation import aggregate
from exmcr.pairing.pools import Pools

BLOCK = 8192  # items described at once, to bound memory


def probes(pools: Pools, keep: int, power: float, ridge: float) -> np.ndarray:
    """A linear probe in the base for every overlap item: W (n_o, d_base).

    W = argmin |(V - mean V) W^T - (D - mean D)|^2 + a |W|^2, where V are the rows of Y^B and O^B
    and D their descriptions by O^B (`relative.described` with keep and power). a is `ridge` times
    the mean eigenvalue of the covariance of V times the number of rows. Raises ConfigError for
    ridge <= 0.
    """
    if ridge <= 0:
        raise ConfigError(f"exmcr+ needs ridge > 0, got {ridge}")
    dim, n = pools.o_base.shape[1], len(pools.y_base) + len(pools.o_base)
    covariance, total = np.zeros((dim, dim)), np.zeros(dim)
    cross, labels = np.zeros((len(pools.o_base), dim)), np.zeros(len(pools.o_base))
    for bank in (pools.y_base, pools.o_base):
        for begin in range(0, len(bank), BLOCK):
            rows = np.asarray(bank[begin : begin + BLOCK])
            description = described(rows, pools.o_base, keep, power)
            rows = rows.astype(np.float64)
            covariance += rows.T @ rows
            total += rows.sum(axis=0)
            cross += description.T @ rows
            labels += description.sum(axis=0)
    mean = total / n
    covariance -= n * np.outer(mean, mean)
    cross -= np.outer(labels, mean)
    return np.linalg.solve(covariance + ridge * np.trace(covariance) / dim * np.eye(dim), cross.T).T


def probed(
    pools: Pools, *, keep: int, power: float, ridge: float, settle: float, tau: float
) -> Maps:
    """The part of exmcr+ that is not trained; arguments as in `exmcr_plus`."""
    detectors = probes(pools, keep, power, ridge)

    def leaf(x: np.ndarray) -> np.ndarray:
        near = aggregate(x, pools.x_leaf, [pools.x_leaf], tau)[0]
        moved = unit((1 - settle) * x + settle * near)
        return unit(described(moved, pools.o_leaf, keep, power) @ detectors)

    return Maps(leaf=leaf)


def exmcr_plus(
    pools: Pools,
    seed: int = 0,
    *,
    pair: dict,
    train: dict,
    keep: int = 400,
    power: float = 8.0,
    ridge: float = 0.05,
    settle: float = 0.6,
    tau: float = 0.05,
    share_projector: float = 0.25,
    steps: int = 300,
) -> Maps:
    """normalize((1 - share_projector) probed(x) + share_projector projector(x)).

    keep, power  of the descriptions, on both sides: the largest similarities, each ** power
    ridge        of the probes, relative to the mean eigenvalue of the covariance of the base
    settle, tau  x moves this share (0 to 1) of the way to agg(x -> X^L) at temperature tau
    pair, train  those of Ex-MCR for this leaf; the projector differs from it in its centers (leaf
                 only), depth of f_m (linear) and steps

    The maps need the banks of the leaf, as those of the hop do. Raises ConfigError for values out
    of range.
    """
    for name, share in (("settle", settle), ("share_projector", share_projector)):
        if not 0 <= share <= 1:
            raise ConfigError(f"exmcr+: {name} must be between 0 and 1, is {share}")
    leaf_centered = pair | {"centers": ["leaf"]}
    linear = train | {"depth_inter": "linear", "steps": steps}
    projector = exmcr.fit(pools, seed, pair=leaf_centered, train=linear)
    near = probed(pools, keep=keep, power=power, ridge=ridge, settle=settle, tau=tau)

    def leaf(x: np.ndarray) -> np.ndarray:
        return unit((1 - share_projector) * near.leaf(x) + share_projector * projector.leaf(x))

    return Maps(leaf=leaf)


METHODS = {
    "exmcr+": Method(
        exmcr_plus, "ours, after arXiv:2310.08884", seeded=True, settings=exmcr.exmcr_settings
    )
}
