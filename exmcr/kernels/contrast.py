"""All InfoNCE terms of a batch at once: one matrix product, one pass, gradient included.

Inside exmcr.common.distributed.use(group) the loss is that of the batch of all ranks, each of
which holds n rows: every rank gets the value over all of them and, by backward(), its share of
the gradient. The shares of the parameter gradients must be summed.
"""

import math
from functools import cache

import torch
from torch.autograd.function import once_differentiable

from exmcr.common import distributed
from exmcr.kernels.layers import product, transposed

LOG2_E = math.log2(math.e)
SPAN = 120  # bits: 2^-SPAN and its inverse are normal float32 numbers


def infonce(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """Symmetric InfoNCE of n matching unit rows (n, d), (n, d) at temperature tau -> scalar.

    Equal to exmcr.training.objectives.infonce. Rows several times longer than 1 overflow float32.
    """
    return _Contrast.apply(a[None], b[None], a.new_ones(1, 1), tau, distributed.current())


def dense(ours: torch.Tensor, base: torch.Tensor, tau: float, terms) -> torch.Tensor:
    """Mean InfoNCE over the chosen pairs of {x', o'} and {o^B, y^B}; unit rows (2, n, d) each.

    Equal to exmcr.training.objectives.dense_loss.
    """
    weights = _weights(tuple(terms), ours.dtype, ours.device)
    left = _in_use("xo", {term[0] for term in terms})
    right = _in_use("oy", {term[2] for term in terms})
    group = distributed.current()
    return _Contrast.apply(ours[left], base[right], weights[left][:, right], tau, group)


def intra(x_l: torch.Tensor, o_l: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of rows over the batch of all ranks: (n, d), (n, d) -> scalar.

    Equal to exmcr.training.objectives.intra_loss.
    """
    group = distributed.current()
    own = (x_l - o_l).square().sum() / (len(x_l) * distributed.size(group))
    if group is None:
        return own
    # The value is that of all ranks, the gradient that of the own rows.
    return own + (distributed.all_reduce(own.detach().clone(), group) - own.detach())


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
        every = distributed.all_gather(b, group)
        m = every.shape[1]
        own = slice(
            distributed.rank(group) * n, (distributed.rank(group) + 1) * n
        )  # where the matches of these rows are
        # In bits rather than nats: exp2 is several times as fast as exp on a CPU.
        most = (
            LOG2_E / tau
        )  # the largest logit that unit vectors can have; less that, all are from -2 most to 0
        near = 2 * most < SPAN
        off = a.new_full((q * m,), -most) if near else None
        logits = product(a.reshape(p * n, d) * most, every.reshape(q * m, d), bias=off).view(
            p, n, q, m
        )
        matches = logits[..., own].diagonal(dim1=1, dim2=3).sum(2)
        row, column, grad = (_softmax_near if near else _softmax)(
            logits, weights[:, None, :, None], group
        )
        loss = (
            weights * (row.sum(dim=(1, 3)) + column[..., own].sum(dim=(1, 3)) - 2 * matches)
        ).sum()
        grad[..., own].diagonal(dim1=1, dim2=3).sub_(2 * weights[:, :, None])
        ctx.save_for_backward(grad.view(p * n, q * m), a, every)
        ctx.scale, ctx.group, ctx.own = 1 / (2 * m * tau), group, own
        return distributed.all_reduce(loss, group) / (2 * m * LOG2_E)

    @staticmethod
    @once_differentiable
    def backward(ctx, of_loss):
        grad, a, every = ctx.saved_tensors
        factor = of_loss * ctx.scale
        of_a = of_b = None
        if ctx.needs_input_grad[0]:
            of_a = product(grad, every.reshape(grad.shape[1], -1).T).mul_(factor).view_as(a)
        if ctx.needs_input_grad[1]:
            of_b = (
                product(transposed(grad), a.reshape(grad.shape[0], -1).T)
                .mul_(factor)
                .view_as(every)
            )
            of_b = distributed.all_reduce(of_b, ctx.group)[:, ctx.own]
        return of_a, of_b, None, None, None


def _softmax(logits, weights, group):
    """Logits (p, n, q, m) in bits, overwritten -> log2 of the mass of every row (p, n, q, 1) and column (p, 1, q, m), and
    weights (softmax over rows + softmax over columns). The largest of each is taken off first, so that its mass is at least 1."""
    peak = logits.amax(dim=3, keepdim=True)
    grad = (logits - peak).exp2_()
    mass = grad.sum(dim=3, keepdim=True)
    row = mass.log2() + peak
    grad *= weights / mass
    peak = distributed.all_reduce(logits.amax(dim=1, keepdim=True), group, largest=True)
    mass = distributed.all_reduce(logits.sub_(peak).exp2_().sum(dim=1, keepdim=True), group)
    return row, mass.log2() + peak, grad.addcmul_(logits, weights / mass)


def _softmax_near(logits, weights, group):
    """As _softmax, of logits from -SPAN to 0: they need no peaks, so one exponential serves rows and columns."""
    logits.exp2_()
    row, column = (
        logits.sum(dim=3, keepdim=True),
        distributed.all_reduce(logits.sum(dim=1, keepdim=True), group),
    )
    return row.log2(), column.log2(), logits.mul_(weights / row + weights / column)
