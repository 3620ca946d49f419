"""Flow matching from one modality to another, without noise: CrossFlow (Liu et al., CVPR 2025,
arXiv:2412.15213).

The paper learns a velocity field that carries text latents to image latents along straight lines.
Here it carries leaf vectors, rotated into the base by Procrustes so that start and end have the
same dimensions, to the base vectors of their pseudo-pairs.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.methods.baselines import rotation
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays, pseudo_pairs
from exmcr.methods.vocabulary import tensor
from exmcr.pairing.pools import Pools


class Flow(nn.Module):
    """The velocity v(z, t) in the base, and its integral from t = 0 to 1: (n, d_leaf) -> (n,
    d_base), unit rows.

    start: (d_leaf, d_base), the frozen map of a leaf vector to z at t = 0. A field starts at zero.
    """

    start: torch.Tensor

    def __init__(self, start: np.ndarray, hidden: int, euler: int):
        super().__init__()
        self.register_buffer("start", tensor(start))
        d, self.euler = start.shape[1], euler
        last = nn.Linear(hidden, d)
        first = nn.Linear(d + 1, hidden)
        self.field = nn.Sequential(first, nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def begin(self, x: torch.Tensor) -> torch.Tensor:
        return normalize(x @ self.start, dim=1)

    def velocity(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """z (n, d_base), t (n, 1), from 0 to 1 -> (n, d_base)."""
        return self.field(torch.cat([z, t], dim=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.begin(x)
        for step in range(self.euler):
            t = torch.full((len(z), 1), step / self.euler, device=z.device)
            z = z + self.velocity(z, t) / self.euler
        return normalize(z, dim=1)


def flow_matching(model: Flow, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean of |v(z_t, t) - (target - z_0)|^2 with z_t = (1 - t) z_0 + t target -> scalar.

    Row i has t = (i + 1/2) / n: a batch is in random order, so this covers [0, 1] as draws would,
    without a random state.
    """
    z, n = model.begin(x), len(x)
    t = ((torch.arange(n, device=x.device, dtype=x.dtype) + 0.5) / n)[:, None]
    speed = model.velocity((1 - t) * z + t * target, t)
    return (speed - (target - z)).square().sum(dim=1).mean()


def crossflow(
    pools: Pools,
    seed: int = 0,
    *,
    hidden: int = 512,
    euler: int = 8,
    target: str = "o",
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """The flow of leaf vectors to base vectors of all pseudo-pairs; the base is unchanged.

    euler   steps of the integration
    target  "o" or "y": the base vector of a quadruple to which x flows; o^L always flows to o^B

    The paper encodes texts as distributions with a contrastive loss, and samples [left out:
    embeddings are contrastive, and retrieval needs one vector]. settings: overrides of
    networks.SETTINGS, without tau2.
    """

    def loss(model: Flow, batch: Batch, given: dict) -> Batch:
        across = flow_matching(model, batch["x_leaf"], batch[f"{target}_base"])
        return {"total": across + flow_matching(model, batch["o_leaf"], batch["o_base"])}

    start = rotation(pools.o_leaf, pools.o_base)
    pool = pseudo_pairs(pools, ["overlap", "leaf", "base"], tau1)
    return Maps(
        leaf=on_arrays(fitted(lambda: Flow(start, hidden, euler), pool, seed, loss, settings))
    )


METHODS = {"crossflow": Method(crossflow, "arXiv:2412.15213", seeded=True)}
