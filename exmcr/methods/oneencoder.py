"""One projector for all modalities, with a learned token for each: OneEncoder (Faye et al.,
arXiv:2409.11059).

Step 1 trains a universal projector on two modalities. Step 2 freezes it and adds a new modality by
a small alignment layer and a token. Here step 1 pairs the base with itself, on pseudo-pairs of its
two modalities, and step 2 adds the leaf. The base changes, since it passes the universal projector
too.
"""

import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays, pseudo_pairs
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


class Universal(nn.Module):
    """normalize(h + MLP(h)), h = v + token: (n, dim) -> (n, dim), unit rows.

    The projector of the paper is a small transformer; for a single vector that is an MLP [assumed].
    There is one token per space rather than per modality: the map of the base is the same for all
    its modalities.
    """

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        first, last = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.shared = nn.Sequential(nn.LayerNorm(dim), first, nn.GELU(), last)
        nn.init.zeros_(last.weight)
        self.token = nn.Parameter(torch.zeros(dim))

    def forward(self, v: torch.Tensor, token: torch.Tensor | None = None) -> torch.Tensor:
        h = v + (self.token if token is None else token)
        return normalize(h + self.shared(h), dim=1)


class Newcomer(nn.Module):
    """The alignment layer and token of the leaf, before a frozen universal projector: (n, d_leaf)
    -> (n, dim), unit rows."""

    def __init__(self, universal: Universal, d_leaf: int, dim: int):
        super().__init__()
        self.align = nn.Linear(d_leaf, dim)
        self.token = nn.Parameter(torch.zeros(dim))
        self.universal = universal.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.universal(self.align(x), self.token)


def oneencoder(
    pools: Pools, seed: int = 0, *, hidden: int = 256, tau1: float = 0.02, **settings
) -> Maps:
    """Both steps, with symmetric InfoNCE on pseudo-pairs. settings: overrides of networks.SETTINGS,
    for each step."""

    def within_base(model: Universal, batch: Batch, given: dict) -> Batch:
        return {"total": infonce(model(batch["o_base"]), model(batch["y_base"]), given["tau2"])}

    def newcomer(model: Newcomer, batch: Batch, given: dict) -> Batch:
        target = model.universal(batch["o_base"])
        losses = [infonce(model(batch[x]), target, given["tau2"]) for x in ("x_leaf", "o_leaf")]
        return {"total": losses[0] + losses[1]}

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    pool = pseudo_pairs(pools, ["overlap", "base"], tau1)
    universal = fitted(lambda: Universal(d_base, hidden), pool, seed, within_base, settings)
    pool = pseudo_pairs(pools, ["overlap", "leaf"], tau1)
    leaf = fitted(lambda: Newcomer(universal, d_leaf, d_base), pool, seed, newcomer, settings)
    return Maps(leaf=on_arrays(leaf), base=on_arrays(universal))


METHODS = {"oneencoder": Method(oneencoder, "arXiv:2409.11059", seeded=True)}
