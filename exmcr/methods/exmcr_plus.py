"""exmcr+: the base stays as it is, as in Ex-MCR, but its images learn what the overlap's words mean there. Ours.

The hop answers a sound by the base vectors of the words it resembles. A word's own vector, however, is a poor detector of the
pictures it names: between modalities lies a gap, and nearby words pull the same way. So every overlap item gets a linear probe
in the base instead, fitted by ridge regression to how strongly the unpaired base items resemble it (pseudo labels, as in
ASIF's description of an item, arXiv:2210.01738), and an answer is the sum of the probes of what the sound resembles. Asked,
a sound first moves towards the training sounds near it; and a share of the answer is a projector trained on x-centric pseudo
pairs with a linear f_m, which errs elsewhere. All that was chosen on validation concepts."""

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods import exmcr
from exmcr.methods.maps import Maps
from exmcr.methods.relative import described
from exmcr.pairing.aggregation import aggregate
from exmcr.pairing.pools import Pools

BLOCK = 8192  # items described at once, so that memory does not grow with the banks


def probes(pools: Pools, keep: int, power: float, ridge: float) -> np.ndarray:
    """A linear probe in the base for every overlap item: W (n_o, d_base) = argmin |(V - mean V) W^T - (D - mean D)|^2 + a |W|^2.

    V are the rows of Y^B and O^B, D their descriptions by O^B; a is `ridge` times the mean eigenvalue of the covariance of V
    times the number of rows. Raises ConfigError for ridge <= 0."""
    if ridge <= 0:
        raise ConfigError(f"exmcr+ needs ridge > 0, got {ridge}")
    dim, n = pools.o_base.shape[1], len(pools.y_base) + len(pools.o_base)
    covariance, total = np.zeros((dim, dim)), np.zeros(dim)
    cross, labels = np.zeros((len(pools.o_base), dim)), np.zeros(len(pools.o_base))
    for bank in (pools.y_base, pools.o_base):
        for at in range(0, len(bank), BLOCK):
            rows = np.asarray(bank[at : at + BLOCK])
            found = described(rows, pools.o_base, keep, power)
            rows = rows.astype(np.float64)
            covariance += rows.T @ rows
            total += rows.sum(axis=0)
            cross += found.T @ rows
            labels += found.sum(axis=0)
    mean = total / n
    covariance -= n * np.outer(mean, mean)
    cross -= np.outer(labels, mean)
    return np.linalg.solve(covariance + ridge * np.trace(covariance) / dim * np.eye(dim), cross.T).T


def probed(
    pools: Pools, *, keep: int, power: float, ridge: float, settle: float, tau: float
) -> Maps:
    """The part of exmcr+ that is not trained; arguments as there."""
    detectors = probes(pools, keep, power, ridge)

    def leaf(x: np.ndarray) -> np.ndarray:
        near = aggregate(x, pools.x_leaf, [pools.x_leaf], tau)[0]
        return unit(
            described(unit((1 - settle) * x + settle * near), pools.o_leaf, keep, power) @ detectors
        )

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
    """normalize((1 - share_projector) probed(x) + share_projector projector(x)); the leaf's banks are needed at use, as for the hop.

    keep, power     of the descriptions: the largest similarities, each ** power; on both sides
    ridge           of the probes, relative to the mean eigenvalue of the base's covariance
    settle, tau     x moves this share (0 to 1) of the way to agg(x -> X^L) at temperature tau
    pair, train     those of Ex-MCR for this leaf; the projector differs from it in centers (x only), depth of f_m (linear), steps

    Raises ConfigError for values that cannot be."""
    for name, share in (("settle", settle), ("share_projector", share_projector)):
        if not 0 <= share <= 1:
            raise ConfigError(f"exmcr+: {name} is between 0 and 1, not {share}")
    projector = exmcr.fit(
        pools,
        seed,
        pair=pair | {"centers": ["leaf"]},
        train=train | {"depth_inter": "linear", "steps": steps},
    )
    near = probed(pools, keep=keep, power=power, ridge=ridge, settle=settle, tau=tau)
    return Maps(
        leaf=lambda x: unit(
            (1 - share_projector) * near.leaf(x) + share_projector * projector.leaf(x)
        )
    )
