"""Experts mixed by a learned router: OmniBind (Wang et al., arXiv:2407.11895).

OmniBind binds many pre-trained spaces to one. The pseudo-pairs are retrieved items rather than
aggregated embeddings, and a router for each modality weights the spaces for each item. With one
leaf there is one space to bind, so its seven bonds, one for each subset of the centers (as in
FreeBind, whose means are the experts of the paper), are the experts here. Texts of the base are
unchanged, so the objective of the paper that keeps texts of different encoders apart has no effect,
and the 0.1 of the vector that an item has in the base has no counterpart.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.kernels.search import topk
from exmcr.methods.freebind import bond_on, subsets
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays
from exmcr.pairing.pairs import CENTERS, Quadruples, union
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


class Router(nn.Module):
    """Weights of the experts from the leaf vector: (n, dim) -> (n, experts), positive, of sum 1.

    The layers are those of the authors' code: Linear 512, BatchNorm, ReLU, Linear 100, BatchNorm,
    tanh, Linear, sigmoid, softmax.
    """

    def __init__(self, dim: int, experts: int, widths: tuple[int, int] = (512, 100)):
        super().__init__()
        first, second = widths
        self.net = nn.Sequential(
            *(nn.Linear(dim, first), nn.BatchNorm1d(first), nn.ReLU()),
            *(nn.Linear(first, second), nn.BatchNorm1d(second), nn.Tanh()),
            *(nn.Linear(second, experts), nn.Sigmoid()),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x).softmax(dim=1)


def mix(weights: torch.Tensor, copies: torch.Tensor) -> torch.Tensor:
    """weights (n, k), copies (n, k, d) -> unit rows (n, d)."""
    return normalize((weights[:, :, None] * copies).sum(dim=1), dim=1)


def retrieved(pools: Pools, center: str) -> Quadruples:
    """Quadruples of items: each query of the center with the nearest item of every other bank.

    The retrieved overlap item links the spaces, as in exmcr.pairing.pairs.
    """
    p = pools
    if center == "overlap":
        o = np.arange(len(p.o_leaf))
        x, y = _nearest(p.o_leaf, p.x_leaf), _nearest(p.o_base, p.y_base)
    elif center == "leaf":
        x, o = np.arange(len(p.x_leaf)), _nearest(p.x_leaf, p.o_leaf)
        y = _nearest(p.o_base[o], p.y_base)
    else:
        y, o = np.arange(len(p.y_base)), _nearest(p.y_base, p.o_base)
        x = _nearest(p.o_leaf[o], p.x_leaf)
    return {
        "x_leaf": p.x_leaf[x],
        "o_leaf": p.o_leaf[o],
        "o_base": p.o_base[o],
        "y_base": p.y_base[y],
    }


def _nearest(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return topk(np.asarray(queries), np.asarray(keys), 1).indices[:, 0]


def omnibind(pools: Pools, seed: int = 0, *, hidden: int = 2048, **settings) -> Maps:
    """Seven bonds on retrieved pairs, mixed by a router that is trained on the same pairs with
    InfoNCE against o^B and y^B; the base is unchanged.

    hidden    width of a bond
    settings  overrides of networks.SETTINGS, for each bond and for the router
    """
    found = {center: retrieved(pools, center) for center in CENTERS}
    bonds = nn.ModuleList(
        bond_on(union([found[center] for center in chosen]), seed + 1000 * number, hidden, settings)
        for number, chosen in enumerate(subsets(tuple(CENTERS)))
    ).eval()
    bonds.requires_grad_(False)

    def copies(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([bond(x) for bond in bonds], dim=1)

    def loss(router: Router, batch: Batch, given: dict) -> Batch:
        with torch.no_grad():
            experts = copies(batch["x_leaf"])
        mixed = mix(router(batch["x_leaf"]), experts)
        terms = [infonce(mixed, batch[name], given["tau2"]) for name in ("o_base", "y_base")]
        return {"total": terms[0] + terms[1]}

    d_leaf, pool = pools.x_leaf.shape[1], union(list(found.values()))
    router = fitted(lambda: Router(d_leaf, len(bonds)), pool, seed, loss, settings)
    return Maps(leaf=on_arrays(lambda x: mix(router(x), copies(x))))


METHODS = {"omnibind": Method(omnibind, "arXiv:2407.11895", seeded=True)}
