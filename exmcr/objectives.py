"""What the projector is trained to do: close the gap inside the leaf, and meet the base.

arXiv:2310.08884; which parts are exact and which assumed is said in params.yaml beside each value.

Inside exmcr.distributed.use(group) a loss is that of the batch of all ranks, each of which gives its n rows: every rank gets
the value over all of them and, by backward(), its share of the gradient. Shares of the parameters' gradients are to be added."""

import math
from functools import cache

import torch
from torch.autograd.function import once_differentiable

from exmcr import distributed
from exmcr.config import TERMS
from exmcr.layers import product

LOG2_E = math.log2(math.e)


def intra(x_l: torch.Tensor, o_l: torch.Tensor) -> torch.Tensor:
    """Mean squared distance between f_l(x) and o inside the leaf: (n, d), (n, d) -> scalar."""
    group = distributed.current()
    own = (x_l - o_l).square().sum() / (len(x_l) * distributed.size(group))
    return own if group is None else own + (distributed.total(own.detach().clone(), group) - own.detach())


def infonce(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """Symmetric InfoNCE of n matching pairs of unit vectors (n, d), (n, d) at temperature tau -> scalar."""
    return _Contrast.apply(a[None], b[None], a.new_ones(1, 1), tau, distributed.current())


def dense(x: torch.Tensor, o: torch.Tensor, o_base: torch.Tensor, y_base: torch.Tensor, tau: float, terms=TERMS) -> torch.Tensor:
    """The dense inter-space loss: mean InfoNCE over {x', o'} times {o^B, y^B} (all unit vectors, (n, d)) -> scalar."""
    weights = _weights(tuple(terms), x.dtype, x.device)
    left, right = (_in_use(side, {term[place] for term in terms}) for side, place in (("xo", 0), ("oy", 2)))
    return _Contrast.apply(torch.stack([x, o])[left], torch.stack([o_base, y_base])[right], weights[left][:, right], tau, distributed.current())


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
        logits = product(a.reshape(p * n, d) * (LOG2_E / tau), every.reshape(q * m, d)).view(p, n, q, m)
        loss = -2 * (weights * logits[..., own].diagonal(dim1=1, dim2=3).sum(2)).sum()

        # The largest logit is taken off first, so that the mass is at least 1 at any temperature.
        peak = logits.amax(dim=3, keepdim=True)
        grad = (logits - peak).exp2_()
        mass = grad.sum(dim=3, keepdim=True)
        loss += (weights * (mass.log2() + peak).sum(dim=(1, 3))).sum()
        grad *= weights[:, None, :, None] / mass

        peak = distributed.total(logits.amax(dim=1, keepdim=True), group, largest=True)
        logits.sub_(peak).exp2_()
        mass = distributed.total(logits.sum(dim=1, keepdim=True), group)
        loss += (weights * (mass.log2() + peak)[..., own].sum(dim=(1, 3))).sum()
        grad.addcmul_(logits, weights[:, None, :, None] / mass)

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
            of_a = (product(grad, every.reshape(grad.shape[1], -1).T) * factor).view_as(a)
        if ctx.needs_input_grad[1]:
            of_b = (product(grad.T, a.reshape(grad.shape[0], -1).T) * factor).view_as(every)
            of_b = distributed.total(of_b, ctx.group)[:, ctx.own]
        return of_a, of_b, None, None, None
