"""Finite discrete tokens: a codebook that both spaces share (FDT, Chen et al., CVPR 2023,
arXiv:2303.14865).

An item is the mean of a few entries of a learned codebook, weighted by the sparsemax of its
similarities to all entries. The paper takes the largest similarity over the patches or tokens of an
item; a frozen embedding is one vector. The base changes.
"""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.methods.baselines import rotation
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays, pseudo_pairs
from exmcr.methods.vocabulary import Linear, drawn, tensor
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


def sparsemax(scores: torch.Tensor) -> torch.Tensor:
    """The Euclidean projection of each row onto the simplex (Martins and Astudillo 2016): (n, k) ->
    (n, k), rows of sum 1, most entries 0."""
    ordered = scores.sort(dim=1, descending=True).values
    excess = ordered.cumsum(dim=1) - 1
    rank = torch.arange(1, scores.shape[1] + 1, device=scores.device, dtype=scores.dtype)
    support = (ordered * rank > excess).sum(dim=1, keepdim=True)
    threshold = excess.gather(1, support - 1) / support
    return (scores - threshold).clamp_min(0)


class Tokens(nn.Module):
    """Heads of leaf and base, and the codebook (k, d_base) that both read."""

    def __init__(self, start: np.ndarray, codes: torch.Tensor, tau: float):
        super().__init__()
        self.heads = nn.ModuleDict({"leaf": Linear(start), "base": Linear(np.eye(start.shape[1]))})
        self.codes, self.tau = nn.Parameter(codes), tau

    def of(self, side: str, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors of side "leaf" or "base", (n, d_side) -> (n, d_base), unit rows."""
        weights = sparsemax(self.heads[side](vectors) @ self.codes.T / self.tau)
        return normalize(weights @ self.codes, dim=1)


def fdt(
    pools: Pools,
    seed: int = 0,
    *,
    codes: int = 512,
    tau: float = 0.1,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """Codebook and heads, trained with InfoNCE of x' against y' and of o^L' against o^B' on
    pseudo-pairs.

    codes  size of the codebook; the paper has 16,384 for millions of pairs [assumed]
    tau    temperature of the sparsemax: the lower, the fewer entries an item has

    Heads start as the Procrustes rotation and the identity, codes as overlap items [ours: the pools
    are small]. settings: overrides of networks.SETTINGS.
    """

    def loss(model: Tokens, batch: Batch, given: dict) -> Batch:
        pairs = [
            (model.of("leaf", batch[a]), model.of("base", batch[b]))
            for a, b in (("x_leaf", "y_base"), ("o_leaf", "o_base"))
        ]
        terms = [infonce(leaf, base, given["tau2"]) for leaf, base in pairs]
        return {"total": terms[0] + terms[1]}

    start = rotation(pools.o_leaf, pools.o_base)
    book = tensor(pools.o_base[drawn(pools, codes, seed)])
    pool = pseudo_pairs(pools, ["overlap", "leaf", "base"], tau1)
    model = fitted(lambda: Tokens(start, book, tau), pool, seed, loss, settings)
    leaf, base = (on_arrays(partial(model.of, side)) for side in ("leaf", "base"))
    return Maps(leaf=leaf, base=base)


METHODS = {"fdt": Method(fdt, "arXiv:2303.14865", seeded=True)}
