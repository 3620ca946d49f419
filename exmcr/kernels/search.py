"""Exact top-k search in tiles."""

import math
from typing import NamedTuple

import numpy as np
import torch

from exmcr.common.errors import ConfigError
from exmcr.kernels.layers import product
from exmcr.kernels.tiles import like, matmul_precision, prepare, sweep


class TopK(NamedTuple):
    """scores   float32 (n, k), descending cosines
    indices  int64 (n, k), rows of the bank"""

    scores: np.ndarray | torch.Tensor
    indices: np.ndarray | torch.Tensor


def topk(queries, keys, k, *, tile=None, device=None, precision="float32", progress=None) -> TopK:
    """The k keys of highest inner product for every query, exact, streamed like `aggregate` (same arguments).

    1 <= k <= number of keys. Among equal scores any may be returned. Raises ConfigError for k out of range, shapes
    that do not fit, NaN or infinite rows."""
    device, tile = prepare(queries, keys, tile, device, precision)
    if not 1 <= k <= len(keys):
        raise ConfigError(f"k is between 1 and the number of keys, {len(keys)}, not {k}")
    scores, indices = torch.empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)
    with matmul_precision(precision):
        for begin, best in sweep(
            lambda begin, rows: _Best(rows, k), queries, {"keys": keys}, [], tile, device, progress
        ):
            end = begin + len(best.queries)
            scores[begin:end], order = best.scores.sort(dim=1, descending=True)
            indices[begin:end] = best.indices.gather(1, order)
    plain = like(queries)
    return TopK(plain(scores), plain(indices))


class _Best:
    """Running top k of one tile of queries."""

    def __init__(self, queries, k):
        self.queries = queries
        self.scores = queries.new_full((len(queries), k), -math.inf)
        self.indices = torch.zeros(len(queries), k, dtype=torch.int64, device=queries.device)

    def add(self, first, keys, values):
        scores = product(self.queries, keys)
        # Selection is slower than the GEMM; after the first tiles few rows still find a better key.
        rows = (scores.amax(dim=1) > self.scores.amin(dim=1)).nonzero()[:, 0]
        found, at = scores[rows].topk(min(self.scores.shape[1], len(keys)), dim=1, sorted=False)
        found, at = (
            torch.cat([self.scores[rows], found], 1),
            torch.cat([self.indices[rows], at + first], 1),
        )
        self.scores[rows], order = found.topk(self.scores.shape[1], dim=1, sorted=False)
        self.indices[rows] = at.gather(1, order)
