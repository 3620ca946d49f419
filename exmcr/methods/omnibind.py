"""Several spaces averaged with learned weights: OmniBind (Wang et al., arXiv:2407.11895).

OmniBind binds many pre-trained spaces to one; a router weights them for each item. With one leaf,
the spaces to bind are several copies of it in the base, each mapped there by another method. The
router is trained on pseudo-pairs, without labels, as in the paper. The second objective of the
paper, which keeps texts of different encoders apart, has no effect here, since texts of the base
are unchanged.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.methods.baselines import hop, lstsq, procrustes
from exmcr.methods.maps import Maps, Method, identity
from exmcr.methods.networks import Batch, fitted, on_arrays, pseudo_pairs
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
    """Weights of the copies from the leaf vector: (n, d_leaf) -> (n, copies), positive, with sum 1;
    equal at the start."""

    def __init__(self, dim: int, copies: int, hidden: int):
        super().__init__()
        first, last = nn.Linear(dim, hidden), nn.Linear(hidden, copies)
        self.net = nn.Sequential(first, nn.ReLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x).softmax(dim=1)


def mix(weights: torch.Tensor, copies: torch.Tensor) -> torch.Tensor:
    """weights (n, k), copies (n, k, d) -> unit rows (n, d)."""
    return normalize((weights[:, :, None] * copies).sum(dim=1), dim=1)


def omnibind(
    pools: Pools,
    seed: int = 0,
    *,
    members: Sequence[str] | Mapping[str, Callable[..., Maps]] = ("procrustes", "ridge", "hop"),
    member_settings: Mapping[str, dict] | None = None,
    hidden: int = 64,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """Copies of the leaf by `members`, averaged by a router that is trained with InfoNCE against
    o^B and y^B.

    members          names in MEMBERS, or {name: fit}; each must leave the base unchanged
    member_settings  {member: keyword arguments of its fit}
    settings         overrides of networks.SETTINGS

    Raises ConfigError for an unknown member or one that changes the base.
    """
    given = member_settings or {}
    bound = {name: fit(pools, seed, **given.get(name, {})) for name, fit in _fits(members).items()}
    changed = [name for name, maps in bound.items() if maps.base is not identity]
    if changed:
        raise ConfigError(
            f"omnibind averages copies in the base; {', '.join(changed)} changes the base"
        )

    def copies(x: np.ndarray) -> np.ndarray:
        return np.stack([maps.leaf(x) for maps in bound.values()], axis=1)

    # Without the leaf as center: there o^B is what the hop returns, and the router would learn to
    # choose the hop.
    pool = pseudo_pairs(pools, ["overlap", "base"], tau1)
    stacked = torch.from_numpy(copies(pool["x_leaf"].numpy()))
    parts = {name: pool[name] for name in ("x_leaf", "o_base", "y_base")}

    def loss(router: Router, batch: Batch, trained_with: dict) -> Batch:
        mixed = mix(router(batch["x_leaf"]), batch["copies"].unflatten(1, stacked.shape[1:]))
        losses = [
            infonce(mixed, batch[name], trained_with["tau2"]) for name in ("o_base", "y_base")
        ]
        return {"total": losses[0] + losses[1]}

    # No noise: the copies are computed once, of vectors without noise.
    router = fitted(
        lambda: Router(pools.x_leaf.shape[1], len(bound), hidden),
        {"x_leaf": parts["x_leaf"], "copies": stacked.flatten(1)} | parts,
        seed,
        loss,
        {"noise": 0.0} | settings,
    )
    weights = on_arrays(router)

    def leaf(x: np.ndarray) -> np.ndarray:
        return mix(torch.from_numpy(weights(x)), torch.from_numpy(copies(x))).numpy()

    return Maps(leaf=leaf)


def _fits(members: Sequence[str] | Mapping[str, Callable[..., Maps]]) -> dict:
    if isinstance(members, Mapping):
        return dict(members)
    if unknown := sorted(set(members) - MEMBERS.keys()):
        raise ConfigError(
            f"omnibind: unknown members {', '.join(unknown)}; known: {', '.join(MEMBERS)}"
        )
    return {name: MEMBERS[name] for name in members}


def _settings_of_members(params, leaf: str) -> dict:
    """The settings of the members under `compare`: each is fitted as it is by itself."""
    return {"member_settings": {name: params.method_settings(name) for name in MEMBERS}}


METHODS = {
    "omnibind": Method(omnibind, "arXiv:2407.11895", seeded=True, settings=_settings_of_members)
}
