"""One projector for all modalities, told by a token which it is looking at: OneEncoder (Faye et al., arXiv:2409.11059).

Step 1 trains the universal projector on two modalities; step 2 freezes it, and a new modality comes in through a small
alignment layer and a token of its own. Here step 1 is the base with itself, on pseudo pairs of its two modalities, and step 2
brings the leaf. The base passes the universal projector too, so it does not stay as it is."""

import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.methods.maps import Maps
from exmcr.methods.networks import fitted, on_arrays, pseudo_pairs
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


class Universal(nn.Module):
    """normalize(h + MLP(h)), h = v + token: (n, dim) -> (n, dim), unit rows. The paper's is a small transformer; over one
    vector that is an MLP [assumed].

    Tokens tell spaces apart, not modalities: a method here is not told which of the base's modalities it is given."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.shared = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)
        )
        nn.init.zeros_(self.shared[3].weight)
        self.token = nn.Parameter(torch.zeros(dim))

    def forward(self, v: torch.Tensor, token: torch.Tensor | None = None) -> torch.Tensor:
        h = v + (self.token if token is None else token)
        return normalize(h + self.shared(h), dim=1)


class Newcomer(nn.Module):
    """The leaf's alignment layer and token before a universal projector that no longer learns: (n, d_leaf) -> (n, dim), unit rows."""

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
    """Both steps with symmetric InfoNCE on pseudo pairs. settings: see networks.SETTINGS; they hold for either step."""

    def within_base(model, batch, given):
        return {"total": infonce(model(batch["o_base"]), model(batch["y_base"]), given["tau2"])}

    def newcomer(model, batch, given):
        target = model.universal(batch["o_base"])
        return {
            "total": infonce(model(batch["x_leaf"]), target, given["tau2"])
            + infonce(model(batch["o_leaf"]), target, given["tau2"])
        }

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    universal = fitted(
        lambda: Universal(d_base, hidden),
        pseudo_pairs(pools, ["overlap", "base"], tau1),
        seed,
        within_base,
        settings,
    )
    leaf = fitted(
        lambda: Newcomer(universal, d_leaf, d_base),
        pseudo_pairs(pools, ["overlap", "leaf"], tau1),
        seed,
        newcomer,
        settings,
    )
    return Maps(leaf=on_arrays(leaf), base=on_arrays(universal))
