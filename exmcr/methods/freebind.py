"""Space bonds: FreeBind (Wang et al., ICML 2024, arXiv:2405.04883).

A displacement bond moves one space into another: here the leaf into the base, by the mean of seven
projectors, one for each non-empty subset of the three kinds of pseudo-pairs. The paper then mixes
the projected vector of an item with its own vector in the base, by a factor for each modality. The
modality that a leaf adds has no vector of its own in the base, and texts need no projection there,
so this factor is 1 here and the base is unchanged.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays, pseudo_pairs
from exmcr.pairing.pairs import CENTERS
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


def subsets(centers: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset of the centers: seven, for three."""
    sizes = range(1, len(centers) + 1)
    return [chosen for size in sizes for chosen in combinations(centers, size)]


class Bond(nn.Module):
    """Linear, BatchNorm, ReLU, Linear, BatchNorm, of the authors' code: (n, dim) -> (n, out), unit
    rows. Matrices are Xavier-uniform."""

    def __init__(self, dim: int, out: int, hidden: int):
        super().__init__()
        linear = nn.Linear(dim, hidden), nn.Linear(hidden, out)
        for layer in linear:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        first, last = nn.BatchNorm1d(hidden), nn.BatchNorm1d(out)
        self.net = nn.Sequential(linear[0], first, nn.ReLU(), linear[1], last)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return normalize(self.net(v), dim=1)


def mixture(bonds: Sequence[nn.Module]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The normalized mean of the outputs of several bonds, unit rows."""
    return lambda v: normalize(torch.stack([bond(v) for bond in bonds]).mean(dim=0), dim=1)


def freebind(
    pools: Pools,
    seed: int = 0,
    *,
    centers: Sequence[str] = tuple(CENTERS),
    hidden: int = 2048,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """The mean of one bond for each subset of the centers; the base is unchanged.

    hidden    width of a bond, 2048 in the authors' code
    settings  overrides of networks.SETTINGS, for each bond
    """
    bonds = []
    for number, chosen in enumerate(subsets(centers)):
        pool = pseudo_pairs(pools, chosen, tau1)
        bonds.append(bond_on(pool, seed + 1000 * number, hidden, settings))
    return Maps(leaf=on_arrays(mixture(bonds)))


def bond_on(pool: Batch, seed: int, hidden: int, settings: dict) -> Bond:
    """A bond trained on quadruples."""
    d_leaf, d_base = pool["x_leaf"].shape[1], pool["o_base"].shape[1]
    return fitted(lambda: Bond(d_leaf, d_base, hidden), pool, seed, _loss, settings)


def _loss(model: Bond, batch: Batch, settings: dict) -> Batch:
    """InfoNCE of x' against y^B and of o' against o^B."""
    x, o = model(torch.cat([batch["x_leaf"], batch["o_leaf"]])).chunk(2)
    tau2 = settings["tau2"]
    return {"total": (infonce(x, batch["y_base"], tau2) + infonce(o, batch["o_base"], tau2)) / 2}


METHODS = {"freebind": Method(freebind, "arXiv:2405.04883", seeded=True)}
