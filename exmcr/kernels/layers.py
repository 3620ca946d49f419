"""Faster linear layers and normalization on a CPU, and batch normalization over ranks.

`with TrainingLayers():` replaces four torch functions for any model; parameters, their names and
all values stay the same.

- Linear layers and matrix products run in oneDNN. On a CPU torch sends float32 products of a
  training step to its BLAS, which on AMD does not use AVX-512: oneDNN is more than twice as fast
  on one core, and training is mostly products.
- Normalization of rows and its gradient take a few passes over memory; torch makes a tensor of
  every intermediate result.
- Between ranks, batch normalization uses the statistics of all ranks of distributed.current(),
  forward and backward, so ranks that share a batch compute what one process would with the whole
  batch. (torch's SyncBatchNorm does so on GPUs only.)

`with InferenceLayers():` runs the linear layers of frozen encoders in oneDNN.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from exmcr.common import distributed

_onednn: Any = None  # x, weight, bias, activation -> activation(x weight^T + bias)
if torch.backends.mkldnn.is_available():
    _onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def on_onednn(tensor: torch.Tensor) -> bool:
    """Whether products of this tensor run in oneDNN: dense float32 on a CPU."""
    if _onednn is None or tensor.device.type != "cpu" or tensor.dtype != torch.float32:
        return False
    return tensor.layout == torch.strided and not tensor.is_nested


def product(
    left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None = None, then: str = "none"
) -> torch.Tensor:
    """left right^T (+ bias): (n, k), (m, k) -> (n, m), without gradient. In oneDNN where possible.

    right  a tensor, or the result of `packed`
    then   "sigmoid" applies it to every entry as it is written; "none"
    """
    if not on_onednn(left) or 0 in (*left.shape, *right.shape):
        out = left @ right.T if bias is None else torch.addmm(bias, left, right.T)
        return out.sigmoid_() if then == "sigmoid" else out
    return _onednn(left, right, bias, then, [], "")


def add_product(into: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """into += left right^T in place, (n, m); left and right as in `product`."""
    return into.add_(product(left, right)) if on_onednn(left) else into.addmm_(left, right.T)


def packed(right: torch.Tensor, rows: int) -> torch.Tensor:
    """`right` (m, k) in the memory layout of oneDNN, for many products with `rows` rows left of it.

    Otherwise each product converts it again, which takes a twentieth of its time. Where oneDNN is
    not used, returns `right` unchanged.
    """
    if not on_onednn(right) or 0 in right.shape:
        return right
    return torch.ops.mkldnn._reorder_linear_weight(right, rows)


def keep_memory() -> None:
    """Make glibc keep freed memory for the next tensors, instead of returning megabytes to the
    system and getting them back page by page.

    glibc returns free memory above twice the largest block of at most 32 MB that was ever freed
    (mallopt(3), M_MMAP_THRESHOLD); this allocates and frees such a block.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def transposed(x: torch.Tensor) -> torch.Tensor:
    """x^T, contiguous: (n, m) -> (m, n)."""
    return x.T.contiguous()


class Linear(torch.autograd.Function):
    """x weight^T + bias: (n, k), (m, k), (m,) -> (n, m)."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias=bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        need = ctx.needs_input_grad
        # The bias first, while the gradient is in the cache.
        of_bias = grad.sum(0) if need[2] else None
        of_weight = product(transposed(grad), x.T) if need[1] else None
        of_x = product(grad, weight.T) if need[0] else None
        return of_x, of_weight, of_bias


class BatchNorm(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias over all ranks' rows: (n, c) -> (n, c).

    Updates the running statistics as torch does: unbiased variance, momentum is the weight of the
    new batch. arXiv:1502.03167.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, running_mean, running_var, momentum, eps, group):
        n = len(x) * distributed.size(group)
        mean, variance = torch.batch_norm_update_stats(x, None, None, momentum)
        # Each rank holds the same number of rows.
        ranks = distributed.size(group)
        own, mean = mean, distributed.all_reduce(mean.clone(), group) / ranks
        variance = distributed.all_reduce(variance + (own - mean).square_(), group) / ranks
        scale = (variance + eps).rsqrt_()
        if running_mean is not None:
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * (n / max(1, n - 1)), momentum)
        ctx.save_for_backward(x, mean, scale, weight)
        ctx.n, ctx.group = n, group
        gain = scale * weight
        return torch.addcmul(bias - mean * gain, x, gain)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, mean, scale, weight = ctx.saved_tensors
        of_bias = grad.sum(0)
        of_weight = ((grad * x).sum(0) - mean * of_bias) * scale
        # Mean and variance depend on x too; both corrections are averages over the whole batch.
        along, level = distributed.all_reduce(torch.stack([of_weight, of_bias]), ctx.group) / ctx.n
        gain, along = scale * weight, along * scale
        of_x = torch.addcmul((mean * along - level) * gain, grad, gain).addcmul_(x, -along * gain)
        return of_x, of_weight, of_bias, None, None, None, None, None


class Normalize(torch.autograd.Function):
    """Rows divided by their norms, or by eps where that is larger: (n, d) -> (n, d)."""

    @staticmethod
    def forward(ctx, x, eps):
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        ctx.by_norm = norm > eps  # elsewhere the divisor does not depend on x
        norm.clamp_(min=eps)
        unit = x / norm
        ctx.save_for_backward(unit, norm)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        unit, norm = ctx.saved_tensors
        along = (grad * unit).sum(dim=1, keepdim=True) * ctx.by_norm
        return torch.addcmul(grad, unit, along, value=-1).div_(norm), None


class TrainingLayers(TorchFunctionMode):
    """Replaces `functional.linear`, `normalize`, the product of matrices and, between ranks,
    `batch_norm` by the functions above where these apply: 2-d tensors, in training."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _MATMUL and not kwargs and _are_matrices(args):
            return Linear.apply(args[0], args[1].T, None)
        if func is functional.linear and args[0].ndim == 2 and args[0].device.type == "cpu":
            bias = args[2] if len(args) > 2 else kwargs.get("bias")
            return Linear.apply(args[0], args[1], bias)
        between_ranks = distributed.current() is not None
        if func is functional.batch_norm and args[0].ndim == 2 and between_ranks:
            return _batch_norm(*args, **kwargs)
        if func is functional.normalize and _over_rows(*args, **kwargs):
            return Normalize.apply(args[0], kwargs.get("eps", 1e-12))
        return func(*args, **kwargs)


_MATMUL = {torch.Tensor.matmul, torch.matmul}  # the former is also `@`


def _are_matrices(args) -> bool:
    return len(args) == 2 and all(torch.is_tensor(x) and x.ndim == 2 and on_onednn(x) for x in args)


def _over_rows(x, p=2.0, dim=1, eps=1e-12, out=None) -> bool:
    return x.ndim == 2 and x.device.type == "cpu" and p == 2 and dim in (1, -1) and out is None


def _batch_norm(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if not training or weight is None or bias is None:
        return functional.batch_norm(
            x, running_mean, running_var, weight, bias, training, momentum, eps
        )
    return BatchNorm.apply(
        x, weight, bias, running_mean, running_var, momentum, eps, distributed.current()
    )


class InferenceLayers(TorchDispatchMode):
    """Runs float32 linear layers on a CPU in oneDNN, within torch.inference_mode(). Values agree to
    rounding.

    This is a dispatch mode because a TorchFunctionMode does not see the `linear` inside other torch
    functions such as nn.MultiheadAttention. The fused attention kernel for inference, which uses
    the BLAS, is replaced by its parts. Left to torch: other dtypes (autocast) and devices,
    operations that record a gradient, small products, and the fused kernel of
    nn.TransformerEncoderLayer. Every operation costs about 5 us more inside, so keep loops over
    many small ones outside.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        faster = _IN_INFERENCE.get(func)
        if faster is None or kwargs or not on_onednn(args[0]):
            return func(*args, **(kwargs or {}))
        return faster(*args)


def _linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """(..., k), (m, k), (m,) -> (..., m)."""
    if x.numel() * len(weight) < 2**20 or weight.ndim != 2:  # a oneDNN call costs 20 us
        return functional.linear(x, weight, bias)
    return _onednn(x, weight, bias, "none", [], "")


def _attention(query, key, value, dim, heads, weight, bias, out_weight, out_bias, *rest):
    """torch._native_multi_head_attention: (b, n, dim) -> (b, n, dim), and the attention weights if
    requested. arXiv:1706.03762. rest: mask, need_weights and later arguments."""
    mask, need_weights = (rest + (None, True)[len(rest) :])[:2]
    if query is not key or key is not value or mask is not None or need_weights:
        own = (query, key, value, dim, heads, weight, bias, out_weight, out_bias)
        return torch._native_multi_head_attention(*own, *rest)
    q, k, v = _linear(query, weight, bias).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return _linear(mixed, out_weight, out_bias), None


_IN_INFERENCE: dict[Any, Callable] = {
    torch.ops.aten.linear.default: _linear,
    torch.ops.aten._native_multi_head_attention.default: _attention,
}
