"""Losses of the literature around Ex-MCR, as plain functions on unit vectors and as drop-ins for `loop.train(loss=...)`.

Plain functions take matching rows of unit vectors, (n, d) each, and return a scalar. A drop-in has the signature of
`objectives.exmcr_loss`: it projects a batch of quadruples, keeps Ex-MCR's intra-space term, and changes the inter-space one.

symile          arXiv:2411.01053   three modalities contrasted at once
cwcl            arXiv:2309.14580   positives weighted by how similar the frozen side finds them
alignment, uniformity              arXiv:2005.10242; in both modalities and across them: arXiv:2405.18570
geodesic_mixup  arXiv:2203.03897   hard negatives on the arc between the two modalities
off_diagonal    arXiv:2305.07437   keeps what an older similarity matrix said about non-matching pairs (Mod-X)"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.stats import beta as beta_distribution
from torch.nn.functional import cross_entropy, kl_div, log_softmax, normalize

from exmcr.common.errors import ConfigError
from exmcr.training.objectives import combined, exmcr_loss, inter_loss, intra_loss, project

Quadruples = dict[str, torch.Tensor]


def symile(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, tau: float) -> torch.Tensor:
    """Contrast triples by their multilinear inner product sum_k a_k b_k c_k; the mean over the three as anchor.

    Negatives are triples of independent draws, as total correlation asks: the other two are shifted in the batch by one
    and by two rows. A batch is in random order, so a fixed shift is as good as a random one. At least 3 rows, ValueError
    otherwise. The product of three unit vectors is about sqrt(d) times smaller than that of two; the paper learns the
    scale, here the factor sqrt(d) lets one tau serve both [ours]."""
    n, d = a.shape
    if n < 3:
        raise ValueError(f"symile needs at least 3 triples to draw negatives from, has {n}")
    scale = d**0.5 / tau
    positive = (a * b * c).sum(dim=1)
    diagonal = torch.eye(n, dtype=torch.bool, device=a.device)
    target = torch.arange(n, device=a.device)
    total = 0.0
    for anchor, one, other in ((a, b, c), (b, a, c), (c, a, b)):
        logits = anchor @ (one.roll(-1, 0) * other.roll(-2, 0)).T
        total = total + cross_entropy(
            scale * torch.where(diagonal, positive[:, None], logits), target
        )
    return total / 3


def weighted_nce(p: torch.Tensor, q: torch.Tensor, tau: float) -> torch.Tensor:
    """From the trained p to the frozen q, every pair is a positive with weight w_ij = (q_i.q_j + 1) / 2.

    A row's target is w_i over its sum. Unrelated vectors weigh 1/2, so a low tau flattens more than it softens: on
    synthetic classes this beats InfoNCE on unseen items at tau 0.2, not at 0.05 (tests/test_losses.py)."""
    weight = (q.detach() @ q.detach().T + 1) / 2
    return cross_entropy(p @ q.T / tau, weight / weight.sum(dim=1, keepdim=True))


def cwcl(p: torch.Tensor, q: torch.Tensor, tau: float) -> torch.Tensor:
    """Continuously weighted contrastive loss: `weighted_nce` from p to q, InfoNCE from q to p, their mean [assumed]."""
    back = cross_entropy(q @ p.T / tau, torch.arange(len(p), device=p.device))
    return (weighted_nce(p, q, tau) + back) / 2


def alignment(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of matching rows. 0 when they coincide, 2 for unrelated directions."""
    return (a - b).square().sum(dim=1).mean()


def uniformity(a: torch.Tensor, b: torch.Tensor | None = None, t: float = 2.0) -> torch.Tensor:
    """log mean exp(-t |a_i - a_j|^2) over i != j; with b, over a_i and the b_j that do not match it.

    0 when all vectors coincide; falls as they spread, towards -2 t in many dimensions. At least 2 rows, ValueError
    otherwise."""
    n = len(a)
    if n < 2:
        raise ValueError("uniformity needs at least 2 vectors")
    b = a if b is None else b
    # |a - b|^2 = 2 - 2 a.b on the sphere
    exponent = -t * (2 - 2 * a @ b.T)
    itself = torch.eye(n, dtype=torch.bool, device=a.device)
    return exponent.masked_fill(itself, -torch.inf).logsumexp(dim=(0, 1)) - math.log(n * (n - 1))


def slerp(a: torch.Tensor, b: torch.Tensor, share: torch.Tensor | float) -> torch.Tensor:
    """The point on the arc from b (share 0) to a (share 1) of the unit sphere: (n, d), (n, d), float or (n, 1) -> (n, d).

    With the angle t between them: sin(share t) / sin(t) a + sin((1 - share) t) / sin(t) b."""
    cosine = (a * b).sum(dim=1, keepdim=True)
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()  # the gradient of acos is infinite at the ends
    mixed = ((share * angle).sin() * a + ((1 - share) * angle).sin() * b) / angle.sin()
    return normalize(mixed, dim=1)


def geodesic_mixup(
    a: torch.Tensor, b: torch.Tensor, tau: float, concentration: float = 1.0
) -> torch.Tensor:
    """Multi-modal mixup (m2-mix): each row against mixtures of the *other* pairs, both modalities as anchor, mean.

    The negative j of anchor i is the point between a_j and b_j; the positive stays (a_i, b_i). Shares of the mixture are
    Beta(concentration, concentration): the paper draws one per batch, here row j takes the quantile (j + 1/2) / n, so that
    a batch in random order has the whole distribution and a run needs no random state."""
    n = len(a)
    quantiles = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    share = torch.from_numpy(
        beta_distribution.ppf(quantiles.numpy(), concentration, concentration)
    ).to(a)[:, None]
    mixed = slerp(a, b, share)
    diagonal = torch.eye(n, dtype=torch.bool, device=a.device)
    positive = (a * b).sum(dim=1, keepdim=True)
    target = torch.arange(n, device=a.device)
    return (
        sum(
            cross_entropy(torch.where(diagonal, positive, anchor @ mixed.T) / tau, target)
            for anchor in (a, b)
        )
        / 2
    )


def off_diagonal(new: torch.Tensor, old: torch.Tensor, tau: float) -> torch.Tensor:
    """Mod-X: KL(softmax(old / tau) || softmax(new / tau)) of similarity matrices (n, n), both directions, mean over rows.

    Rows in which the old matrix does not rank the matching pair first count nothing: it was wrong about them. The paper
    adds this to InfoNCE with a weight; `old` gets no gradient. No temperature in the authors' code (tau = 1)."""
    return (_kept_rows(new, old.detach(), tau) + _kept_rows(new.T, old.detach().T, tau)) / 2


def _kept_rows(new, old, tau):
    right = old.argmax(dim=1) == torch.arange(len(old), device=old.device)
    divergence = kl_div(
        log_softmax(new / tau, dim=1),
        log_softmax(old / tau, dim=1),
        reduction="none",
        log_target=True,
    ).sum(dim=1)
    return (divergence * right).mean()


def _pairs(ours, batch: Quadruples, settings: dict):
    """(projected, base) for each of the chosen terms."""
    left, right = dict(zip("xo", ours, strict=True)), {"o": batch["o_base"], "y": batch["y_base"]}
    return [(left[term[0]], right[term[2]]) for term in settings["terms"]]


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


def symile_loss(
    projector, batch: Quadruples, settings: dict, weight: float = 1.0
) -> dict[str, torch.Tensor]:
    """Dense InfoNCE plus Symile over the triple (x', o^B, y^B). Retrieval stays pairwise, so the pairwise terms stay too."""
    x_l, ours = project(projector, batch, settings)
    third = symile(ours[0], batch["o_base"], batch["y_base"], settings["tau2"])
    return combined(
        inter_loss(ours, batch, settings) + weight * third,
        intra_loss(x_l, batch["o_leaf"]),
        settings,
    )


def cwcl_loss(projector, batch: Quadruples, settings: dict) -> dict[str, torch.Tensor]:
    """Ex-MCR's dense loss with CWCL in place of InfoNCE; the base is the frozen side that says what is similar."""
    x_l, ours = project(projector, batch, settings)
    return combined(
        _mean(cwcl(p, b, settings["tau2"]) for p, b in _pairs(ours, batch, settings)),
        intra_loss(x_l, batch["o_leaf"]),
        settings,
    )


def align_uniform_loss(
    projector, batch: Quadruples, settings: dict, weight: float = 1.0
) -> dict[str, torch.Tensor]:
    """Dense InfoNCE plus alignment, cross-modal uniformity, and uniformity of what is projected (CUAXU of arXiv:2405.18570;
    the base's own uniformity is left out, it cannot change). Equal weights [assumed]."""
    x_l, ours = project(projector, batch, settings)
    pairs = _pairs(ours, batch, settings)
    extra = _mean(alignment(p, b) + uniformity(p, b) for p, b in pairs) + _mean(
        uniformity(p) for p in ours
    )
    return combined(
        inter_loss(ours, batch, settings) + weight * extra,
        intra_loss(x_l, batch["o_leaf"]),
        settings,
    )


def geodesic_loss(
    projector, batch: Quadruples, settings: dict, weight: float = 0.1
) -> dict[str, torch.Tensor]:
    """Dense InfoNCE plus multi-modal mixup over the same pairs. The weight is the paper's to be tuned, 0.01 to 1 [assumed]."""
    x_l, ours = project(projector, batch, settings)
    mixed = _mean(geodesic_mixup(p, b, settings["tau2"]) for p, b in _pairs(ours, batch, settings))
    return combined(
        inter_loss(ours, batch, settings) + weight * mixed,
        intra_loss(x_l, batch["o_leaf"]),
        settings,
    )


def mod_x_loss(
    projector, batch: Quadruples, settings: dict, weight: float = 1.0
) -> dict[str, torch.Tensor]:
    """Dense InfoNCE plus Mod-X: the extended space (x', o^B) is to keep what the frozen leaf says about (x, o) off the
    diagonal. There is no older model to distil here; the leaf is the one whose knowledge extending may cost."""
    x_l, ours = project(projector, batch, settings)
    kept = off_diagonal(
        ours[0] @ batch["o_base"].T, batch["x_leaf"] @ batch["o_leaf"].T, settings["tau2"]
    )
    return combined(
        inter_loss(ours, batch, settings) + weight * kept,
        intra_loss(x_l, batch["o_leaf"]),
        settings,
    )


@dataclass(frozen=True)
class Loss:
    """function  loss(projector, batch, settings, ...) -> {"intra", "inter", "total"}
    paper     where it is from
    """

    function: Callable[..., dict[str, torch.Tensor]]
    paper: str


# What `train.loss` in params.yaml chooses from. Each but the first is also a method of the
# comparison, exmcr-<name>.
LOSSES = {
    "exmcr": Loss(exmcr_loss, "arXiv:2310.08884"),
    "cwcl": Loss(cwcl_loss, "arXiv:2309.14580"),
    "align+uniform": Loss(align_uniform_loss, "arXiv:2405.18570"),
    "symile": Loss(symile_loss, "arXiv:2411.01053"),
    "geodesic": Loss(geodesic_loss, "arXiv:2203.03897"),
    "mod-x": Loss(mod_x_loss, "arXiv:2305.07437"),
}


def loss_named(name: str) -> Callable[..., dict[str, torch.Tensor]]:
    """The function of a registered loss. Raises ConfigError, listing the known names."""
    if name not in LOSSES:
        raise ConfigError(f"unknown loss '{name}'; known: {', '.join(LOSSES)}")
    return LOSSES[name].function
