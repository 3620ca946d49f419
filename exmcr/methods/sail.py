"""The sigmoid loss with gated heads: SAIL (Zhang et al., CVPR 2025, arXiv:2412.04616).

SAIL aligns frozen unimodal encoders by one small gated layer for each side and the pairwise sigmoid
loss of SigLIP (arXiv:2303.15343). Here the pairs are the overlap items in leaf and base. Both sides
have a layer, so the base changes.
"""

import math

import torch
from torch import nn
from torch.nn.functional import logsigmoid, normalize, silu

from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays, overlap_pairs
from exmcr.pairing.pools import Pools


class Gated(nn.Module):
    """normalize(C (silu(A x) * B x)), SwiGLU: (n, dim) -> (n, out), unit rows."""

    def __init__(self, dim: int, out: int, hidden: int):
        super().__init__()
        self.gate, self.value = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # The rows have unit norm, so their entries are about d ** -0.5 and would leave the gate
        # nearly linear and its output tiny.
        x = x * x.shape[1] ** 0.5
        return normalize(self.out(silu(self.gate(x)) * self.value(x)), dim=1)


class Aligned(nn.Module):
    """A gated layer for each side, and the learned scale and bias of the logits."""

    def __init__(self, d_leaf: int, d_base: int, out: int, hidden: int):
        super().__init__()
        self.leaf = Gated(d_leaf, out, hidden)
        self.base = Gated(d_base, out, hidden)
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.bias = nn.Parameter(torch.tensor(-10.0))


def sigmoid_loss(
    a: torch.Tensor, b: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """-1/n sum_ij log sigmoid(z_ij (scale a_i.b_j + bias)) of matching unit rows a, b (n, d), with
    z_ij = 1 for i = j and -1 otherwise. arXiv:2303.15343, section 3."""
    logits = scale * a @ b.T + bias
    sign = 2 * torch.eye(len(a), dtype=a.dtype, device=a.device) - 1
    return -logsigmoid(sign * logits).sum() / len(a)


def sail(pools: Pools, seed: int = 0, *, out: int = 256, hidden: int = 512, **settings) -> Maps:
    """Both layers, trained with `sigmoid_loss` on the overlap.

    out, hidden  dimensions of the common space and of the gate
    settings     overrides of networks.SETTINGS; tau2 is not used, since the scale is learned
    """

    def loss(model: Aligned, batch: Batch, given: dict) -> Batch:
        leaf, base = model.leaf(batch["x_leaf"]), model.base(batch["o_base"])
        return {"total": sigmoid_loss(leaf, base, model.log_scale.exp(), model.bias)}

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    pairs = overlap_pairs(pools)
    model = fitted(lambda: Aligned(d_leaf, d_base, out, hidden), pairs, seed, loss, settings)
    return Maps(leaf=on_arrays(model.leaf), base=on_arrays(model.base))


METHODS = {"sail": Method(sail, "arXiv:2412.04616", seeded=True)}
