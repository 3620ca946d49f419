"""What the projector is trained to do: close the gap inside the leaf, and meet the base.

arXiv:2310.08884; which parts are exact and which assumed is said in params.yaml beside each value.

Inside exmcr.distributed.use(group) a loss is that of the batch of all ranks, each of which gives its n rows: every rank gets
the value over all of them and, by backward(), its share of the gradient. Shares of the parameters' gradients are to be added."""

import math
from functools import cache

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import mse_loss

from exmcr import distributed
from exmcr.config import TERMS
from exmcr.layers import joined, product, turned

LOG2_E = math.log2(math.e)
SPAN = 120  # bits: 2^-SPAN and its inverse are numbers of float32 like any other


def intra(x_l: torch.Tensor, o_l: torch.Tensor) -> torch.Tensor:
    """Mean squared distance between f_l(x) and o inside the leaf: (n, d), (n, d) -> scalar."""
    group = distributed.current()
    own = mse_loss(x_l, o_l, reduction="sum") / (len(x_l) * distributed.size(group))
    return own if group is None else own + (distributed.total(own.detach().clone(), group) - own.detach())


def combined(crossing: torch.Tensor, closing: torch.Tensor, settings: dict) -> dict[str, torch.Tensor]:
    """What a loss of training.train returns: {"inter": crossing, "intra": closing, "total": crossing + lambda closing}, scalars."""
    return {"intra": closing, "inter": crossing, "total": crossing + settings["lambda"] * closing}


def infonce(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """Symmetric InfoNCE of n matching pairs of unit vectors (n, d), (n, d) at temperature tau -> scalar.

    Rows that are several times longer than 1 make it infinite in float32."""
    return _Contrast.apply(a[None], b[None], a.new_ones(1, 1), tau, distributed.current())


def project(projector: torch.nn.Module, batch: dict[str, torch.Tensor], settings: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """f_l(x) in the leaf, (n, d_leaf), and x' and o' in the base, (2, n, d_base), of a batch of quadruples.

    settings: overlap_through_fl, whether o passes f_l."""
    x_l = projector.intra(batch["x_leaf"])
    o_l = projector.intra(batch["o_leaf"]) if settings["overlap_through_fl"] else batch["o_leaf"]
    # Both modalities in one pass, so that BatchNorm sees the mixture it will see in use.
    return x_l, projector.inter(joined(x_l, o_l)).view(2, len(x_l), -1)


def inter(ours: torch.Tensor, batch: dict[str, torch.Tensor], settings: dict) -> torch.Tensor:
    """The inter-space loss of a batch whose x' and o' are `ours` (2, n, d) -> scalar. settings: tau2, terms."""
    return dense(ours, torch.stack([batch["o_base"], batch["y_base"]]), settings["tau2"], settings["terms"])


def dense(ours: torch.Tensor, base: torch.Tensor, tau: float, terms=TERMS) -> torch.Tensor:
    """The dense inter-space loss: mean InfoNCE over {x', o'} times {o^B, y^B}, unit vectors, (2, n, d) each -> scalar."""
    weights = _weights(tuple(terms), ours.dtype, ours.device)
    left, right = (_in_use(side, {term[place] for term in terms}) for side, place in (("xo", 0), ("oy", 2)))
    return _Contrast.apply(ours[left], base[right], weights[left][:, right], tau, distributed.current())


def _in_use(side, named):
    """Which of the two on a side to index: what is in no term is not even computed. Both as `...`, which copies nothing backwards."""
    return ... if len(named) == 2 else slice(side.index(*named), side.index(*named) + 1)


@cache  # made once: a copy to the device could not be part of a CUDA graph
def _weights(terms, dtype, device) -> torch.Tensor:
    chosen = [[term in terms for term in row] for row in (("x-o", "x-y"), ("o-o", "o-y"))]
    return torch.tensor(chosen, dtype=dtype, device=device) / len(terms)


class _Contrast(torch.autograd.Function):
    """sum_jk weights_jk InfoNCE(a_j, b_k): a (p, n, d), b (q, n, d), weights (p, q) -> scalar.

    One product gives all p q matrices of logits, and each serves both directions. The gradient of the logits is
    softmax over rows + softmax over columns - 2 identity, so the exponentials of the value are those of the gradient too:
    it is made with the value and kept. A rank holds the rows of its own a against the b of all ranks, nothing else."""

    @staticmethod
    def forward(ctx, a, b, weights, tau, group):
        (p, n, d), q = a.shape, len(b)
        every = distributed.gathered(b, group)
        m = every.shape[1]
        own = slice(distributed.rank(group) * n, (distributed.rank(group) + 1) * n)  # where the matches of these rows are
        # In bits rather than nats: exp2 is several times as fast as exp on a CPU.
        most = LOG2_E / tau  # the largest logit that unit vectors can have; less that, all are from -2 most to 0
        near = 2 * most < SPAN
        off = a.new_full((q * m,), -most) if near else None
        logits = product(a.reshape(p * n, d) * most, every.reshape(q * m, d), bias=off).view(p, n, q, m)
        matches = logits[..., own].diagonal(dim1=1, dim2=3).sum(2)
        row, column, grad = (_softmax_near if near else _softmax)(logits, weights[:, None, :, None], group)
        loss = (weights * (row.sum(dim=(1, 3)) + column[..., own].sum(dim=(1, 3)) - 2 * matches)).sum()
        grad[..., own].diagonal(dim1=1, dim2=3).sub_(2 * weights[:, :, None])
        ctx.save_for_backward(grad.view(p * n, q * m), a, every)
        ctx.scale, ctx.group, ctx.own = 1 / (2 * m * tau), group, own
        return distributed.total(loss, group) / (2 * m * LOG2_E)

    @staticmethod
    @once_differentiable
    def backward(ctx, of_loss):
        grad, a, every = ctx.saved_tensors
        factor = of_loss * ctx.scale
        of_a = of_b = None
        if ctx.needs_input_grad[0]:
            of_a = product(grad, every.reshape(grad.shape[1], -1).T).mul_(factor).view_as(a)
        if ctx.needs_input_grad[1]:
            of_b = product(turned(grad), a.reshape(grad.shape[0], -1).T).mul_(factor).view_as(every)
            of_b = distributed.total(of_b, ctx.group)[:, ctx.own]
        return of_a, of_b, None, None, None


def _softmax(logits, weights, group):
    """Logits (p, n, q, m) in bits, overwritten -> log2 of the mass of every row (p, n, q, 1) and column (p, 1, q, m), and
    weights (softmax over rows + softmax over columns). The largest of each is taken off first, so that its mass is at least 1."""
    peak = logits.amax(dim=3, keepdim=True)
    grad = (logits - peak).exp2_()
    mass = grad.sum(dim=3, keepdim=True)
    row = mass.log2() + peak
    grad *= weights / mass
    peak = distributed.total(logits.amax(dim=1, keepdim=True), group, largest=True)
    mass = distributed.total(logits.sub_(peak).exp2_().sum(dim=1, keepdim=True), group)
    return row, mass.log2() + peak, grad.addcmul_(logits, weights / mass)


def _softmax_near(logits, weights, group):
    """As _softmax, of logits from -SPAN to 0: they need no peaks, so one exponential serves rows and columns."""
    logits.exp2_()
    row, column = logits.sum(dim=3, keepdim=True), distributed.total(logits.sum(dim=1, keepdim=True), group)
    return row.log2(), column.log2(), logits.mul_(weights / row + weights / column)
