"""Losses in which an item may match several others of a batch.

Functions and `..._loss` functions as in losses.py, which registers them.

conditional_transport  arXiv:2307.09066  the cost of moving one set of vectors to the other
                                         (PatchCT)
sdm                    arXiv:2303.12501  similarities distributed as the matches are (IRRA)
one_to_k               arXiv:2406.18254  K positives in one softmax (1-to-K, CCRK)
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import log_softmax

from exmcr.training.objectives import (
    Decoupled,
    Losses,
    Quadruples,
    chosen_pairs,
    combined,
    inter_loss,
    intra_loss,
    project,
)

EPSILON = 1e-8  # probability of a wrong match in the target of SDM


def conditional_transport(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """Expected cost 1 - a_i.b_j of transport from a to b and back; mean of both directions.

    a (n, d), b (m, d): unit rows, two sets without pairs. Each vector goes to those of the other
    set in proportion to exp(a_i.b_j / tau). The paper moves the patches of an image to the labels
    of that image, and learns the distance behind the plan.
    """
    similarity = a @ b.T
    cost = 1 - similarity
    there = ((similarity / tau).softmax(dim=1) * cost).sum(dim=1).mean()
    back = ((similarity / tau).softmax(dim=0) * cost).sum(dim=0).mean()
    return (there + back) / 2


def sdm(a: torch.Tensor, b: torch.Tensor, match: torch.Tensor, tau: float) -> torch.Tensor:
    """Similarity distribution matching: KL(softmax(a_i.b_j / tau) || q) summed over both
    directions, mean over rows.

    a (n, d), b (n, d): unit rows. match (n, n): bool, symmetric, true for pairs that match; q is
    `match` with rows scaled to sum 1, plus EPSILON.
    """
    target = match.to(a.dtype)
    wanted = (target / target.sum(dim=1, keepdim=True) + EPSILON).log()

    def divergence(logits: torch.Tensor) -> torch.Tensor:
        log_p = log_softmax(logits, dim=1)
        return (log_p.exp() * (log_p - wanted)).sum(dim=1).mean()

    logits = a @ b.T / tau
    return divergence(logits) + divergence(logits.T)


def one_to_k(one: torch.Tensor, many: Sequence[torch.Tensor], tau: float) -> torch.Tensor:
    """Contrast n items with their K counterparts at once; mean of both directions.

    one (n, d), many: K times (n, d), unit rows; row i of all belongs together. From an item, one
    softmax over all K n vectors, with 1/K on each of its counterparts; from a counterpart, a
    softmax over the n items. Without K separate softmaxes no counterpart is a positive in one term
    and absent in the others.
    """
    n, k = len(one), len(many)
    logits = one @ torch.cat(list(many)).T / tau
    there = log_softmax(logits, dim=1).view(n, k, n).diagonal(dim1=0, dim2=2)
    back = log_softmax(logits.T, dim=1).view(k, n, n).diagonal(dim1=1, dim2=2)
    return -(there.mean() + back.mean()) / 2


def transport_loss(
    projector: Decoupled, batch: Quadruples, settings: dict, weight: float = 1.0
) -> Losses:
    """Dense InfoNCE plus conditional transport between the same sides. InfoNCE stays because
    transport does not use which items belong together."""
    x_l, ours = project(projector, batch, settings)
    moved = [
        conditional_transport(p, b, settings["tau2"])
        for p, b in chosen_pairs(ours, batch, settings)
    ]
    inter = inter_loss(ours, batch, settings) + weight * torch.stack(moved).mean()
    return combined(inter, intra_loss(x_l, batch["o_leaf"]), settings)


def sdm_loss(projector: Decoupled, batch: Quadruples, settings: dict, same: float = 0.9) -> Losses:
    """The dense loss of Ex-MCR with SDM / 2 in place of InfoNCE.

    same  items match if their base vectors have at least this cosine. The paper has identities;
          pseudo-pairs have none, but nearly equal base vectors mean nearly equal items [ours]
    """
    x_l, ours = project(projector, batch, settings)
    diagonal = torch.eye(len(x_l), dtype=torch.bool, device=x_l.device)
    terms = []
    for p, b in chosen_pairs(ours, batch, settings):
        match = (b.detach() @ b.detach().T >= same) | diagonal
        terms.append(sdm(p, b, match, settings["tau2"]) / 2)
    inter = torch.stack(terms).mean()
    return combined(inter, intra_loss(x_l, batch["o_leaf"]), settings)


def one_to_k_loss(projector: Decoupled, batch: Quadruples, settings: dict) -> Losses:
    """1-to-K in place of InfoNCE: x' and o' with (o^B, y^B), o^B and y^B with (x', o'); each
    counts equally. `settings["terms"]` has no effect: all four pairs take part.

    The paper has one image and its texts in K languages. A quadruple has two vectors on either
    side, so K is 2.
    """
    x_l, ours = project(projector, batch, settings)
    x, o = ours
    base = (batch["o_base"], batch["y_base"])
    terms = [one_to_k(p, base, settings["tau2"]) for p in (x, o)]
    terms += [one_to_k(b, (x, o), settings["tau2"]) for b in base]
    return combined(torch.stack(terms).mean(), intra_loss(x_l, batch["o_leaf"]), settings)
