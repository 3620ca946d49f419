"""Several spaces averaged with learned weights: OmniBind (Wang et al., arXiv:2407.11895).

OmniBind binds many pre-trained spaces to one and lets a router choose, item by item, how much each counts. With one leaf, the
spaces to bind are several copies of it in the base, each brought there by another method. The router sees no labels: it is
trained on pseudo pairs, as in the paper. Its second objective, which keeps texts of different encoders apart, has nothing to
act on here: the base's texts pass untouched."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.methods.baselines import hop, lstsq, procrustes
from exmcr.methods.maps import Maps, identity
from exmcr.methods.networks import fitted, on_arrays, pseudo_pairs
from exmcr.methods.ridge import ridge
from exmcr.methods.xbt import xbt
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce

MEMBERS: dict[str, Callable[..., Maps]] = {
    "procrustes": procrustes,
    "ridge": ridge,
    "hop": hop,
    "xbt": xbt,
    "lstsq": lstsq,
}


class Router(nn.Module):
    """Weights of the copies from the leaf vector: (n, d_leaf) -> (n, copies), positive, summing to 1; equal at first."""

    def __init__(self, dim: int, copies: int, hidden: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, copies))
        nn.init.zeros_(self.net[2].weight)
        nn.init.zeros_(self.net[2].bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x).softmax(dim=1)


def mix(weights: torch.Tensor, copies: torch.Tensor) -> torch.Tensor:
    """weights (n, k), copies (n, k, d) -> unit rows (n, d)."""
    return normalize((weights[:, :, None] * copies).sum(dim=1), dim=1)


def omnibind(
    pools: Pools,
    seed: int = 0,
    *,
    members: tuple | dict = ("procrustes", "ridge", "hop"),
    hidden: int = 64,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """Copies of the leaf by `members`, averaged by a router that is trained with InfoNCE against o^B and y^B.

    members   names out of MEMBERS, or {name: fit}; each must leave the base as it is
    settings  see networks.SETTINGS
    Raises ConfigError for an unknown member or one that changes the base."""
    if not isinstance(members, dict):
        unknown = set(members) - set(MEMBERS)
        if unknown:
            raise ConfigError(
                f"omnibind: unknown members {', '.join(sorted(unknown))}; known: {', '.join(MEMBERS)}"
            )
        members = {name: MEMBERS[name] for name in members}
    bound = {name: fit(pools, seed) for name, fit in members.items()}
    changed = [name for name, maps in bound.items() if maps.base is not identity]
    if changed:
        raise ConfigError(
            f"omnibind averages copies in the base; {', '.join(changed)} changes the base"
        )

    def copies(x: np.ndarray) -> np.ndarray:
        return np.stack([maps.leaf(x) for maps in bound.values()], axis=1)

    # Without the leaf's own center: there o^B is the hop's answer by construction, and the router would learn just that.
    pool = pseudo_pairs(pools, ["overlap", "base"], tau1)
    stacked = torch.from_numpy(copies(pool["x_leaf"].numpy()))
    pool = {
        "x_leaf": pool["x_leaf"],
        "copies": stacked.flatten(1),
        "o_base": pool["o_base"],
        "y_base": pool["y_base"],
    }

    def loss(router, batch, given):
        mixed = mix(router(batch["x_leaf"]), batch["copies"].unflatten(1, stacked.shape[1:]))
        return {
            "total": infonce(mixed, batch["o_base"], given["tau2"])
            + infonce(mixed, batch["y_base"], given["tau2"])
        }

    # No noise: the copies are computed once, of the vectors as they are.
    router = fitted(
        lambda: Router(pools.x_leaf.shape[1], len(bound), hidden),
        pool,
        seed,
        loss,
        {"noise": 0.0} | settings,
    )
    weights = on_arrays(router)

    def leaf(x: np.ndarray) -> np.ndarray:
        return mix(torch.from_numpy(weights(x)), torch.from_numpy(copies(x))).numpy()

    return Maps(leaf=leaf)
