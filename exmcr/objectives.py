"""What the projector is trained to do: close the gap inside the leaf, and meet the base.

arXiv:2310.08884; which parts are exact and which assumed is said in params.yaml beside each value."""

import torch
from torch.nn.functional import cross_entropy

from exmcr.config import TERMS


def intra(x_l: torch.Tensor, o_l: torch.Tensor) -> torch.Tensor:
    """Mean squared distance between f_l(x) and o inside the leaf: (n, d), (n, d) -> scalar."""
    return (x_l - o_l).square().sum(dim=1).mean()


def infonce(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """Symmetric InfoNCE of n matching pairs of unit vectors (n, d), (n, d) at temperature tau -> scalar."""
    return _both_ways(a @ b.T / tau)


def _both_ways(logits: torch.Tensor) -> torch.Tensor:
    target = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def dense(x: torch.Tensor, o: torch.Tensor, o_base: torch.Tensor, y_base: torch.Tensor, tau: float, terms=TERMS) -> torch.Tensor:
    """The dense inter-space loss: mean InfoNCE over {x', o'} times {o^B, y^B} (all unit vectors, (n, d)) -> scalar.

    One product of the stacked vectors gives all four logits matrices; each serves both directions."""
    n = len(x)
    logits = torch.cat([x, o]) @ torch.cat([o_base, y_base]).T / tau
    block = {"x-o": logits[:n, :n], "x-y": logits[:n, n:], "o-o": logits[n:, :n], "o-y": logits[n:, n:]}
    return sum(_both_ways(block[t]) for t in terms) / len(terms)
