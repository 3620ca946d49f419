"""Neighborhoods that agree before and after the projector: the regularizer STRUCTURE (Gröger et
al., NeurIPS 2025, arXiv:2506.16895), added to the loss of Ex-MCR.

With few pairs, an alignment layer can fit them and scatter everything else. The regularizer keeps
the similarities of the items of a batch to each other as they are in the frozen space.
"""

from functools import partial

import torch
from torch.nn.functional import normalize

from exmcr.methods import exmcr
from exmcr.methods.maps import Method
from exmcr.training.objectives import (
    Decoupled,
    Losses,
    Quadruples,
    combined,
    inter_loss,
    intra_loss,
    project,
)

TAU = 0.07  # temperature of the similarities, of the authors' code


def structure(
    before: torch.Tensor, after: torch.Tensor, tau: float = TAU, levels: int = 1
) -> torch.Tensor:
    """The Jensen-Shannon divergence between rows of softmax(S / tau), before and after, where S are
    inner products of unit rows minus their mean: (n, d), (n, d') -> scalar.

    levels  also of the powers 2 to `levels` of these matrices, which describe paths through
            neighbors; the mean of level l counts 1 / l. The authors' code has one level
    """
    ours, theirs = (_neighbors(rows, tau) for rows in (after, before))
    total = before.new_zeros(())
    power_ours, power_theirs = ours, theirs
    for level in range(1, levels + 1):
        if level > 1:
            power_ours, power_theirs = power_ours @ ours, power_theirs @ theirs
        total = total + _divergence(power_ours, power_theirs) / level
    return total / levels


def _neighbors(rows: torch.Tensor, tau: float) -> torch.Tensor:
    rows = normalize(rows, dim=1)
    rows = rows - rows.mean(dim=0)
    return (rows @ rows.T / tau).softmax(dim=1)


def _divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    mean = ((p + q) / 2).clamp_min(1e-12).log()
    terms = (v * (v.clamp_min(1e-12).log() - mean) for v in (p, q))
    return torch.stack([term.sum(dim=1).mean() for term in terms]).mean()


def structure_loss(
    projector: Decoupled, batch: Quadruples, settings: dict, weight: float = 10.0
) -> Losses:
    """The loss of Ex-MCR + weight * `structure`, of x and of the overlap, mean over both.

    The paper raises the weight to 10 over the first 500 steps; here it is constant. It also
    regularizes the other side, which is not projected here.
    """
    x_l, ours = project(projector, batch, settings)
    kept = (structure(batch["x_leaf"], ours[0]) + structure(batch["o_leaf"], ours[1])) / 2
    inter = inter_loss(ours, batch, settings) + weight * kept
    return combined(inter, intra_loss(x_l, batch["o_leaf"]), settings)


METHODS = {
    "exmcr-structure": Method(
        partial(exmcr.fit, loss=structure_loss),
        "arXiv:2506.16895",
        seeded=True,
        settings=exmcr.exmcr_settings,
    )
}
