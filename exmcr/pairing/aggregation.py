"""Softmax aggregation: how an embedding of one bank finds its counterpart in another."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import normalize

from exmcr import kernels
from exmcr.kernels import aggregate as fast

Array = np.ndarray | torch.Tensor


def softmax_aggregation(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, tau: float
) -> torch.Tensor:
    """agg(q -> K; V) = normalize(softmax(q K^T / tau) V). arXiv:2310.08884, section 3.2.

    queries (n, d), keys (m, d), values (m, dv): unit rows. tau > 0. Returns (n, dv), unit rows.
    The n x m weights are held in memory; exmcr/kernels/aggregate.py streams them.
    """
    weights = torch.softmax(queries @ keys.T / tau, dim=1)
    return normalize(weights @ values, dim=1)


def aggregate(
    queries: Array, keys: Array, values: Sequence[Array], tau: float, device=None
) -> list[np.ndarray]:
    """`softmax_aggregation` of each bank of `values`, by the streaming kernel unless
    `kernels.plain()` is active. Returns float32 arrays (n, dv).

    Raises ConfigError for tau <= 0, shapes that do not match, NaN or infinite rows.
    """
    if kernels.enabled():
        return fast.aggregate(queries, keys, list(values), tau, device=device).values
    rows = [torch.as_tensor(np.asarray(x), dtype=torch.float32) for x in (queries, keys, *values)]
    return [softmax_aggregation(rows[0], rows[1], value, tau).numpy() for value in rows[2:]]
