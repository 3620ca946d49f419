"""All InfoNCE terms of a batch from one matrix product, with their gradient.

Inside exmcr.common.distributed.use(group) the loss covers the batch of all ranks, of which each
holds n rows: every rank gets the value over the whole batch and, from backward(), the gradient of
its own rows. The parameter gradients of the ranks must then be summed.
"""

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from exmcr.common import distributed
from exmcr.kernels.layers import product, transposed

LOG2_E = math.log2(math.e)
SPAN = 120  # bits; 2^-SPAN and 2^SPAN are normal float32 numbers


def infonce(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """Symmetric InfoNCE of n matching unit rows (n, d), (n, d) at temperature tau -> scalar.

    Equal to exmcr.training.objectives.infonce. Rows several times longer than 1 overflow float32.
    """
    return _Contrast.apply(a[None], b[None], a.new_ones(1, 1), tau, distributed.current())


def dense(ours: torch.Tensor, base: torch.Tensor, tau: float, terms: Iterable[str]) -> torch.Tensor:
    """Mean InfoNCE over the chosen pairs of {x', o'} and {o^B, y^B}; unit rows (2, n, d) each.

    Equal to exmcr.training.objectives.dense_loss.
    """
    terms = tuple(terms)
    weights = _weights(terms, ours.dtype, ours.device)
    left, right = _used("xo", {term[0] for term in terms}), _used("oy", {term[2] for term in terms})
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
    # The value covers all ranks, the gradient only the rows of this rank.
    return own + (distributed.all_reduce(own.detach().clone(), group) - own.detach())


def _used(side: str, letters: set[str]) -> Any:
    """Index of the modalities of a side that occur in a term; the others are not computed.

    `...` for both, since its backward pass makes no copy.
    """
    if len(letters) == 2:
        return ...
    (letter,) = letters
    return slice(side.index(letter), side.index(letter) + 1)


@cache  # a copy to the device could not be part of a CUDA graph
def _weights(terms: tuple[str, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(2, 2) weights of the terms: x', o' in rows, o^B, y^B in columns."""
    chosen = [[term in terms for term in row] for row in (("x-o", "x-y"), ("o-o", "o-y"))]
    return torch.tensor(chosen, dtype=dtype, device=device) / len(terms)


class _Contrast(torch.autograd.Function):
    """sum_jk weights_jk InfoNCE(a_j, b_k): a (p, n, d), b (q, n, d), weights (p, q) -> scalar.

    One product gives all p q matrices of logits, and each serves both directions. The gradient of
    the logits is softmax over rows + softmax over columns - 2 identity, so value and gradient share
    their exponentials: `forward` computes the gradient too and keeps it. A rank holds the logits of
    its own rows of a against the b of all ranks, and nothing else.
    """

    @staticmethod
    def forward(ctx, a, b, weights, tau, group):
        (p, n, d), q = a.shape, len(b)
        every = distributed.all_gather(b, group)
        m, first = every.shape[1], distributed.rank(group) * n
        own = slice(first, first + n)  # the columns of the positives of these rows
        # In bits rather than nats: exp2 is several times as fast as exp on a CPU.
        most = LOG2_E / tau  # largest logit of unit vectors; subtracted, all are in [-2 most, 0]
        near = 2 * most < SPAN
        shift = a.new_full((q * m,), -most) if near else None
        logits = product(a.reshape(p * n, d) * most, every.reshape(q * m, d), bias=shift)
        logits = logits.view(p, n, q, m)
        positives = logits[..., own].diagonal(dim1=1, dim2=3).sum(2)
        softmax = _softmax_near if near else _softmax
        row, column, grad = softmax(logits, weights[:, None, :, None], group)
        mass = row.sum(dim=(1, 3)) + column[..., own].sum(dim=(1, 3))
        loss = (weights * (mass - 2 * positives)).sum()
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
            of_b = product(transposed(grad), a.reshape(grad.shape[0], -1).T).mul_(factor)
            of_b = distributed.all_reduce(of_b.view_as(every), ctx.group)[:, ctx.own]
        return of_a, of_b, None, None, None


def _softmax(logits, weights, group):
    """Softmax over rows and columns of logits (p, n, q, m) in bits, which are overwritten.

    Returns log2 of the sum of exponentials of every row (p, n, q, 1) and column (p, 1, q, m), and
    weights (softmax over rows + softmax over columns), (p, n, q, m). The maximum of each row and
    column is subtracted first, so that the sum is at least 1.
    """
    peak = logits.amax(dim=3, keepdim=True)
    grad = (logits - peak).exp2_()
    mass = grad.sum(dim=3, keepdim=True)
    row = mass.log2() + peak
    grad *= weights / mass
    peak = distributed.all_reduce(logits.amax(dim=1, keepdim=True), group, largest=True)
    mass = distributed.all_reduce(logits.sub_(peak).exp2_().sum(dim=1, keepdim=True), group)
    return row, mass.log2() + peak, grad.addcmul_(logits, weights / mass)


def _softmax_near(logits, weights, group):
    """`_softmax` of logits in [-SPAN, 0]: no maximum is subtracted, so one exponential serves both
    rows and columns."""
    logits.exp2_()
    row = logits.sum(dim=3, keepdim=True)
    column = distributed.all_reduce(logits.sum(dim=1, keepdim=True), group)
    return row.log2(), column.log2(), logits.mul_(weights / row + weights / column)
