"""Softmax aggregation: the counterpart of an embedding in another bank. arXiv:2310.08884."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import normalize

from exmcr import kernels
from exmcr.kernels import aggregate as fast
from exmcr.kernels.tiles import Array, checked_rows, prepare


def softmax_aggregation(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, tau: float
) -> torch.Tensor:
    """agg(q -> K; V) = normalize(softmax(q K^T / tau) V). arXiv:2310.08884, section 3.

    queries (n, d), keys (m, d), values (m, dv): unit rows. tau > 0. Returns (n, dv), unit rows.
    Holds the n x m weights in memory; exmcr/kernels/aggregate.py computes them in tiles.
    """
    return normalize(softmax_means(queries, keys, values, tau), dim=1)


def softmax_means(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, tau: float
) -> torch.Tensor:
    """softmax(q K^T / tau) V, not normalized: (n, dv), of norm 1 at most for unit rows."""
    weights = torch.softmax(queries @ keys.T / tau, dim=1)
    return weights @ values


def aggregate(
    queries: Array,
    keys: Array,
    values: Sequence[Array],
    tau: float,
    device=None,
    *,
    normalized: bool = True,
) -> list[np.ndarray]:
    """`softmax_aggregation` of each bank of `values`, or `softmax_means` unless `normalized`; by
    the kernel unless `kernels.plain()` is active. Returns float32 arrays (n, dv).

    device: None takes CUDA if available, else the CPU. Raises ConfigError for tau <= 0, shapes
    that do not match, NaN or infinite rows.
    """
    if kernels.enabled():
        result = fast.aggregate(queries, keys, values, tau, normalize=normalized, device=device)
        return [np.asarray(mean) for mean in result.values]
    fast.check_tau(tau)
    fast.check_values(keys, values)
    device, _ = prepare(queries, keys, None, device)
    banks = {"queries": queries, "keys": keys, **{f"values[{i}]": v for i, v in enumerate(values)}}
    q, k, *rest = (checked_rows(bank, 0, len(bank), device, name) for name, bank in banks.items())
    formula = softmax_aggregation if normalized else softmax_means
    return [formula(q, k, value, tau).cpu().numpy() for value in rest]
