"""What the trained methods share: a small head, its settings, and the way from pools to a trained module."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.pairing.pairs import quadruples, union
from exmcr.pairing.pools import Pools
from exmcr.training import loop as training

SETTINGS = {
    "steps": 100,
    "batch": 256,
    "lr": 0.001,
    "weight_decay": 0.01,
    "noise": 0.004,
    "tau2": 0.05,
}


class Head(nn.Module):
    """normalize(W x + MLP(x)), one hidden layer: (n, dim) -> (n, out) of unit norm.

    The MLP starts at zero, so that a head is a linear map first and bends where that pays."""

    def __init__(self, dim: int, out: int, hidden: int):
        super().__init__()
        self.linear = nn.Linear(dim, out)
        self.bend = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, out))
        for parameter in self.bend[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normalize(self.linear(x) + self.bend(x), dim=1)


def overlap_pairs(pools: Pools) -> dict[str, torch.Tensor]:
    """The only true pairs there are, the overlap's items in both spaces, under the names that the training loop knows:
    x_leaf (n, d_leaf) and o_base (n, d_base)."""
    return {
        "x_leaf": torch.from_numpy(np.array(pools.o_leaf, np.float32)),
        "o_base": torch.from_numpy(np.array(pools.o_base, np.float32)),
    }


def pseudo_pairs(pools: Pools, centers, tau1: float) -> dict[str, torch.Tensor]:
    """Quadruples of these centers: {x_leaf, o_leaf, o_base, y_base}, each (n, d).

    Kept with the pools: every method and seed asks for the same ones."""
    made = vars(pools).setdefault("_made", {})
    for center in centers:
        if (center, tau1) not in made:
            made[center, tau1] = quadruples(pools, center, tau1)
    return union([made[center, tau1] for center in centers])


def fitted(
    build: Callable[[], nn.Module],
    pool: dict[str, torch.Tensor],
    seed: int,
    loss: Callable,
    settings: dict,
) -> nn.Module:
    """build() trained on `pool` by exmcr.training.train with `loss(model, batch, settings) -> {"total": scalar}`; in eval mode.

    settings: any of SETTINGS, which holds the defaults. Raises ConfigError for an unknown one."""
    unknown = set(settings) - set(SETTINGS)
    if unknown:
        raise ConfigError(
            f"unknown settings of a trained method: {', '.join(sorted(unknown))}; known: {', '.join(SETTINGS)}"
        )
    torch.manual_seed(seed)
    model = build()
    training.train(model, pool, SETTINGS | settings, seed, loss=loss, progress=False)
    return model.cpu().eval()


def on_arrays(module: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    """The module as a map of float32 arrays."""

    @torch.no_grad()
    def apply(vectors: np.ndarray) -> np.ndarray:
        return module(torch.from_numpy(np.array(vectors, dtype=np.float32))).numpy()

    return apply
