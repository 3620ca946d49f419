"""What trained methods share: a small head, its settings, and training on pools."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.methods.maps import Map
from exmcr.pairing.centering import centered
from exmcr.pairing.pairs import quadruples, union
from exmcr.pairing.pools import Pools
from exmcr.training.loop import train

SETTINGS = {
    "steps": 100,
    "batch": 256,
    "lr": 0.001,
    "weight_decay": 0.01,
    "noise": 0.004,
    "tau2": 0.05,
}

Batch = dict[str, torch.Tensor]
Network = TypeVar("Network", bound=nn.Module)


class Head(nn.Module):
    """normalize(W x + MLP(x)) with one hidden layer: (n, dim) -> (n, out), unit rows.

    The MLP starts at zero, so a head starts as a linear map.
    """

    def __init__(self, dim: int, out: int, hidden: int):
        super().__init__()
        self.linear = nn.Linear(dim, out)
        self.bend = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, out))
        for parameter in self.bend[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normalize(self.linear(x) + self.bend(x), dim=1)


def overlap_pairs(pools: Pools) -> Batch:
    """The only true pairs, the overlap items in both spaces, under the names that the training
    loop knows: x_leaf (n, d_leaf) and o_base (n, d_base)."""
    return {
        "x_leaf": torch.from_numpy(np.array(pools.o_leaf, np.float32)),
        "o_base": torch.from_numpy(np.array(pools.o_base, np.float32)),
    }


def pseudo_pairs(
    pools: Pools, centers: Iterable[str], tau1: float, normalize_between: bool = True
) -> Batch:
    """Quadruples of these centers: {x_leaf, o_leaf, o_base, y_base}, each (n, d).

    Those of each center and settings are kept with the pools, for other methods and seeds.
    """
    kept, parts = vars(pools).setdefault("_quadruples", {}), []
    for center in centers:
        key = (center, tau1, normalize_between)
        if key not in kept:
            kept[key] = quadruples(pools, center, tau1, normalize_between=normalize_between)
        parts.append(kept[key])
    return union(parts)


def centered_once(pools: Pools) -> Pools:
    """The centered pools, kept with the pools for other methods and seeds."""
    kept = vars(pools)
    if "_centered" not in kept:
        kept["_centered"] = centered(pools)
    return kept["_centered"]


def fitted(
    build: Callable[[], Network],
    pool: Batch,
    seed: int,
    loss: Callable[[Network, Batch, dict], Batch],
    settings: dict,
) -> Network:
    """build() trained on `pool` ({part: (n, d)}), on the CPU and in eval mode.

    loss      loss(model, batch, settings) -> {"total": scalar}
    settings  overrides of SETTINGS

    Raises ConfigError for an unknown setting.
    """
    if unknown := sorted(settings.keys() - SETTINGS.keys()):
        raise ConfigError(
            f"unknown settings of a trained method: {', '.join(unknown)}; "
            f"known: {', '.join(SETTINGS)}"
        )
    torch.manual_seed(seed)
    model = build()
    train(model, pool, SETTINGS | settings, seed, loss=loss, progress=False)
    return model.cpu().eval()


def on_arrays(module: Callable[[torch.Tensor], torch.Tensor]) -> Map:
    """The module as a map of float32 arrays, without gradients."""

    @torch.no_grad()
    def apply(vectors: np.ndarray) -> np.ndarray:
        return module(torch.from_numpy(np.array(vectors, dtype=np.float32))).numpy()

    return apply
