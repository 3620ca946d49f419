"""The Ex-MCR objective: close the gap inside the leaf, then align with the base. arXiv:2310.08884.

Each function is the formula as the paper prints it; params.yaml marks beside each value what is
known and what is assumed. A kernel of exmcr/kernels/contrast.py replaces it unless
`kernels.plain()` is active, and always does between ranks (exmcr.common.distributed).
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch.nn.functional import cross_entropy

from exmcr import kernels
from exmcr.common import distributed
from exmcr.kernels import contrast

Quadruples = dict[str, torch.Tensor]
Losses = dict[str, torch.Tensor]
TERMS = ("x-o", "o-o", "x-y", "o-y")  # projected {leaf modality, overlap} - base {overlap, other}


class Decoupled(Protocol):
    """A projector in two steps, as `projectors.Projector` is."""

    def intra(self, x: torch.Tensor) -> torch.Tensor: ...  # f_l, inside the leaf

    def inter(self, x: torch.Tensor) -> torch.Tensor: ...  # f_m, into the base, unit rows


def infonce(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """Symmetric InfoNCE of n matching unit rows (n, d), (n, d) at temperature tau -> scalar.

    -1/(2n) sum_i [log softmax_j(a_i.b_j / tau)_i + log softmax_j(a_j.b_i / tau)_i]
    """
    if _use_kernels():
        return contrast.infonce(a, b, tau)
    logits = a @ b.T / tau
    target = torch.arange(len(a), device=a.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def intra_loss(x_l: torch.Tensor, o_l: torch.Tensor) -> torch.Tensor:
    """1/n sum_i |f_l(x_i) - o_i|^2 inside the leaf: (n, d), (n, d) -> scalar. [form assumed]"""
    if _use_kernels():
        return contrast.intra(x_l, o_l)
    return (x_l - o_l).square().sum(dim=1).mean()


def dense_loss(
    ours: torch.Tensor, base: torch.Tensor, tau: float, terms: Sequence[str] = TERMS
) -> torch.Tensor:
    """Mean InfoNCE over the chosen pairs between {x', o'} and {o^B, y^B} -> scalar.

    ours, base: unit rows (2, n, d), stacked in that order. terms: some of TERMS; the dense loss
    of the paper takes all four.
    """
    if _use_kernels():
        return contrast.dense(ours, base, tau, terms)
    left, right = dict(zip("xo", ours, strict=True)), dict(zip("oy", base, strict=True))
    return torch.stack([infonce(left[t[0]], right[t[2]], tau) for t in terms]).mean()


def project(
    projector: Decoupled, batch: Quadruples, settings: dict
) -> tuple[torch.Tensor, torch.Tensor]:
    """f_l(x) in the leaf, (n, d_leaf), and (x', o') in the base, (2, n, d_base), of a batch.

    settings: overlap_through_fl, whether o passes f_l; the released weights cannot tell.
    """
    x_l = projector.intra(batch["x_leaf"])
    o_l = batch["o_leaf"]
    if settings["overlap_through_fl"]:
        o_l = projector.intra(o_l)
    # One pass for both modalities, so that BatchNorm sees the mixture it will see in use.
    return x_l, projector.inter(torch.cat([x_l, o_l])).view(2, len(x_l), -1)


def inter_loss(ours: torch.Tensor, batch: Quadruples, settings: dict) -> torch.Tensor:
    """`dense_loss` of (x', o') against a batch -> scalar. settings: tau2, terms."""
    base = torch.stack([batch["o_base"], batch["y_base"]])
    return dense_loss(ours, base, settings["tau2"], settings["terms"])


def chosen_pairs(
    ours: torch.Tensor, batch: Quadruples, settings: dict
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(projected, base) of each of the chosen terms: unit rows (n, d_base). settings: terms."""
    left, right = dict(zip("xo", ours, strict=True)), {"o": batch["o_base"], "y": batch["y_base"]}
    return [(left[term[0]], right[term[2]]) for term in settings["terms"]]


def combined(inter: torch.Tensor, intra: torch.Tensor, settings: dict) -> Losses:
    """The result of a loss: {"intra", "inter", "total" = inter + lambda intra}, scalars."""
    return {"intra": intra, "inter": inter, "total": inter + settings["lambda"] * intra}


def exmcr_loss(projector: Decoupled, batch: Quadruples, settings: dict) -> Losses:
    """The Ex-MCR objective on one batch: {"intra", "inter", "total"}. arXiv:2310.08884.

    settings: tau2 (temperature), lambda (weight of intra), terms, overlap_through_fl.
    """
    x_l, ours = project(projector, batch, settings)
    inter, intra = inter_loss(ours, batch, settings), intra_loss(x_l, batch["o_leaf"])
    return combined(inter, intra, settings)


def _use_kernels() -> bool:
    return kernels.enabled() or distributed.current() is not None
