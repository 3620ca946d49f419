"""Losses of related papers, as functions of unit vectors and as alternatives to `exmcr_loss`.

The functions take matching rows of unit vectors, (n, d) each, and return a scalar. The `..._loss`
functions have the signature of `objectives.exmcr_loss`: they project a batch of quadruples, keep
the intra-space term of Ex-MCR and change the inter-space term. `train.loss` in params.yaml chooses
one from LOSSES.

symile                 arXiv:2411.01053  three modalities contrasted at once
cwcl                   arXiv:2309.14580  positives weighted by their similarity in the frozen space
alignment, uniformity  arXiv:2005.10242  in each modality and across them: arXiv:2405.18570
geodesic_mixup         arXiv:2203.03897  hard negatives on the arc between the two modalities
off_diagonal           arXiv:2305.07437  preserves an older similarity matrix off the diagonal
                                         (Mod-X)

Losses in which an item has several positives are in many_to_many.py.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.special import betaincinv
from torch.nn.functional import cross_entropy, kl_div, log_softmax, normalize

from exmcr.common.errors import ConfigError
from exmcr.training.many_to_many import one_to_k_loss, sdm_loss, transport_loss
from exmcr.training.objectives import (
    Decoupled,
    Losses,
    Quadruples,
    chosen_pairs,
    combined,
    exmcr_loss,
    inter_loss,
    intra_loss,
    project,
)


def symile(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, tau: float) -> torch.Tensor:
    """Contrast triples by the product sum_k a_k b_k c_k; mean over the three modalities as anchor.

    Negatives are triples of independent draws, as total correlation requires: the other two
    modalities are shifted in the batch by one and by two rows. A batch is in random order, so a
    fixed shift is as good as a random one. The product of three unit vectors is about sqrt(d)
    times smaller than that of two; the paper learns the scale, here the factor sqrt(d) lets one
    tau serve both [ours]. Raises ValueError for fewer than 3 rows.
    """
    n, d = a.shape
    if n < 3:
        raise ValueError(f"symile needs at least 3 triples to draw negatives from, not {n}")
    scale = d**0.5 / tau
    positive = (a * b * c).sum(dim=1)
    diagonal = torch.eye(n, dtype=torch.bool, device=a.device)
    target = torch.arange(n, device=a.device)
    terms = []
    for anchor, one, other in ((a, b, c), (b, a, c), (c, a, b)):
        negative = anchor @ (one.roll(-1, 0) * other.roll(-2, 0)).T
        logits = scale * torch.where(diagonal, positive[:, None], negative)
        terms.append(cross_entropy(logits, target))
    return _mean(terms)


def weighted_nce(p: torch.Tensor, q: torch.Tensor, tau: float) -> torch.Tensor:
    """From the trained p to the frozen q: every pair is a positive of weight (q_i.q_j + 1) / 2.

    The target of a row is its weights divided by their sum. Unrelated vectors have weight 1/2, so
    at a low tau the target is flat rather than soft: on synthetic classes this beats InfoNCE on
    unseen items at tau 0.2, but not at 0.05 (tests/training/test_losses.py).
    """
    weight = (q.detach() @ q.detach().T + 1) / 2
    return cross_entropy(p @ q.T / tau, weight / weight.sum(dim=1, keepdim=True))


def cwcl(p: torch.Tensor, q: torch.Tensor, tau: float) -> torch.Tensor:
    """Continuously weighted contrastive loss: the mean [assumed] of `weighted_nce` from p to q and
    InfoNCE from q to p."""
    back = cross_entropy(q @ p.T / tau, torch.arange(len(p), device=p.device))
    return (weighted_nce(p, q, tau) + back) / 2


def alignment(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of matching rows: 0 if they coincide, 2 for unrelated directions."""
    return (a - b).square().sum(dim=1).mean()


def uniformity(a: torch.Tensor, b: torch.Tensor | None = None, t: float = 2.0) -> torch.Tensor:
    """log mean exp(-t |a_i - a_j|^2) over i != j; with b, over a_i and the b_j with j != i.

    0 if all vectors coincide; decreases as they spread, towards -2 t in many dimensions. Raises
    ValueError for fewer than 2 rows.
    """
    n = len(a)
    if n < 2:
        raise ValueError("uniformity needs at least 2 vectors")
    b = a if b is None else b
    # |a - b|^2 = 2 - 2 a.b on the sphere
    exponent = -t * (2 - 2 * a @ b.T)
    diagonal = torch.eye(n, dtype=torch.bool, device=a.device)
    exponent = exponent.masked_fill(diagonal, -torch.inf)
    return exponent.logsumexp(dim=(0, 1)) - math.log(n * (n - 1))


def slerp(a: torch.Tensor, b: torch.Tensor, share: torch.Tensor | float) -> torch.Tensor:
    """The point on the arc from b (share 0) to a (share 1) of the unit sphere: (n, d).

    a, b: (n, d); share: a number or (n, 1). With the angle t between a and b:
    sin(share t) / sin(t) a + sin((1 - share) t) / sin(t) b.
    """
    cosine = (a * b).sum(dim=1, keepdim=True)
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()  # the gradient of acos is infinite at the ends
    mixed = ((share * angle).sin() * a + ((1 - share) * angle).sin() * b) / angle.sin()
    return normalize(mixed, dim=1)


def geodesic_mixup(
    a: torch.Tensor, b: torch.Tensor, tau: float, concentration: float = 1.0
) -> torch.Tensor:
    """Multi-modal mixup (m2-mix): each row against mixtures of the other pairs; mean over both
    modalities as anchor.

    The negative j of anchor i is a point between a_j and b_j; the positive stays (a_i, b_i). The
    shares of the mixtures are Beta(concentration, concentration): the paper draws one per batch;
    here row j takes the quantile (j + 1/2) / n, so that a batch in random order covers the whole
    distribution and a run needs no random state.
    """
    n = len(a)
    mixed = slerp(a, b, _shares(n, concentration, a.dtype, a.device)[:, None])
    diagonal = torch.eye(n, dtype=torch.bool, device=a.device)
    positive = (a * b).sum(dim=1, keepdim=True)
    target = torch.arange(n, device=a.device)
    return _mean(
        cross_entropy(torch.where(diagonal, positive, anchor @ mixed.T) / tau, target)
        for anchor in (a, b)
    )


@cache  # a copy to the device could not be part of a CUDA graph
def _shares(n: int, concentration: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(n,) quantiles of Beta(concentration, concentration)."""
    quantiles = (np.arange(n) + 0.5) / n
    shares = betaincinv(concentration, concentration, quantiles)
    return torch.from_numpy(shares).to(device, dtype)


def off_diagonal(new: torch.Tensor, old: torch.Tensor, tau: float) -> torch.Tensor:
    """Mod-X: KL(softmax(old / tau) || softmax(new / tau)) of similarity matrices (n, n), mean over
    rows and over both directions.

    Rows in which the old matrix does not rank the matching pair first are ignored. The paper adds
    this to InfoNCE with a weight. The authors' code has no temperature (tau = 1). `old` gets no
    gradient.
    """
    old = old.detach()
    return (_row_divergence(new, old, tau) + _row_divergence(new.T, old.T, tau)) / 2


def _row_divergence(new: torch.Tensor, old: torch.Tensor, tau: float) -> torch.Tensor:
    right = old.argmax(dim=1) == torch.arange(len(old), device=old.device)
    divergence = kl_div(
        log_softmax(new / tau, dim=1),
        log_softmax(old / tau, dim=1),
        reduction="none",
        log_target=True,
    ).sum(dim=1)
    return (divergence * right).mean()


def _mean(values: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(values)).mean()


def symile_loss(
    projector: Decoupled, batch: Quadruples, settings: dict, weight: float = 1.0
) -> Losses:
    """Dense InfoNCE plus Symile over the triple (x', o^B, y^B). The pairwise terms stay because
    retrieval is pairwise."""
    x_l, ours = project(projector, batch, settings)
    triple = symile(ours[0], batch["o_base"], batch["y_base"], settings["tau2"])
    inter = inter_loss(ours, batch, settings) + weight * triple
    return combined(inter, intra_loss(x_l, batch["o_leaf"]), settings)


def cwcl_loss(projector: Decoupled, batch: Quadruples, settings: dict) -> Losses:
    """The dense loss of Ex-MCR with CWCL in place of InfoNCE; the base is the frozen side."""
    x_l, ours = project(projector, batch, settings)
    inter = _mean(cwcl(p, b, settings["tau2"]) for p, b in chosen_pairs(ours, batch, settings))
    return combined(inter, intra_loss(x_l, batch["o_leaf"]), settings)


def align_uniform_loss(
    projector: Decoupled, batch: Quadruples, settings: dict, weight: float = 1.0
) -> Losses:
    """Dense InfoNCE plus alignment, cross-modal uniformity and uniformity of the projected vectors
    (CUAXU of arXiv:2405.18570), with equal weights [assumed].

    The uniformity of the frozen base is constant and left out.
    """
    x_l, ours = project(projector, batch, settings)
    pairs = chosen_pairs(ours, batch, settings)
    across = _mean(alignment(p, b) + uniformity(p, b) for p, b in pairs)
    inside = _mean(uniformity(p) for p in ours)
    inter = inter_loss(ours, batch, settings) + weight * (across + inside)
    return combined(inter, intra_loss(x_l, batch["o_leaf"]), settings)


def geodesic_loss(
    projector: Decoupled, batch: Quadruples, settings: dict, weight: float = 0.1
) -> Losses:
    """Dense InfoNCE plus multi-modal mixup over the same pairs. The paper tunes the weight, from
    0.01 to 1 [assumed]."""
    x_l, ours = project(projector, batch, settings)
    mixed = _mean(
        geodesic_mixup(p, b, settings["tau2"]) for p, b in chosen_pairs(ours, batch, settings)
    )
    inter = inter_loss(ours, batch, settings) + weight * mixed
    return combined(inter, intra_loss(x_l, batch["o_leaf"]), settings)


def mod_x_loss(
    projector: Decoupled, batch: Quadruples, settings: dict, weight: float = 1.0
) -> Losses:
    """Dense InfoNCE plus Mod-X, which keeps the similarities of (x', o^B) off the diagonal close to
    those of (x, o) in the frozen leaf.

    The paper distills an older model. There is none here; the leaf takes its place, since
    extension may degrade its similarities.
    """
    x_l, ours = project(projector, batch, settings)
    new, old = ours[0] @ batch["o_base"].T, batch["x_leaf"] @ batch["o_leaf"].T
    inter = inter_loss(ours, batch, settings) + weight * off_diagonal(new, old, settings["tau2"])
    return combined(inter, intra_loss(x_l, batch["o_leaf"]), settings)


@dataclass(frozen=True)
class Loss:
    """function  loss(projector, batch, settings, ...) -> {"intra", "inter", "total"}
    paper     source
    """

    function: Callable[..., Losses]
    paper: str


# The choices of `train.loss` in params.yaml. Each but the first is also a method of the comparison,
# exmcr-<name>.
LOSSES = {
    "exmcr": Loss(exmcr_loss, "arXiv:2310.08884"),
    "cwcl": Loss(cwcl_loss, "arXiv:2309.14580"),
    "align+uniform": Loss(align_uniform_loss, "arXiv:2405.18570"),
    "symile": Loss(symile_loss, "arXiv:2411.01053"),
    "geodesic": Loss(geodesic_loss, "arXiv:2203.03897"),
    "mod-x": Loss(mod_x_loss, "arXiv:2305.07437"),
    "ct": Loss(transport_loss, "arXiv:2307.09066"),
    "sdm": Loss(sdm_loss, "arXiv:2303.12501"),
    "1-to-k": Loss(one_to_k_loss, "arXiv:2406.18254"),
}


def loss_named(name: str) -> Callable[..., Losses]:
    """The function of a registered loss. Raises ConfigError, with the known names, for others."""
    if name not in LOSSES:
        raise ConfigError(f"unknown loss '{name}'; known: {', '.join(LOSSES)}")
    return LOSSES[name].function
