"""Exact top-k search in tiles."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from exmcr.common.errors import ConfigError
from exmcr.kernels.layers import product
from exmcr.kernels.tiles import Array, like, matmul_precision, prepare, sweep


class TopK(NamedTuple):
    """scores   float32 (n, k), descending cosines
    indices  int64 (n, k), rows of the keys

    numpy arrays if the queries are numpy, tensors on the CPU otherwise.
    """

    scores: Any
    indices: Any


def topk(
    queries: Array,
    keys: Array,
    k: int,
    *,
    tile: tuple[int, int] | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    progress: Callable[[int, int], Any] | None = None,
) -> TopK:
    """The k keys with the highest inner product for every query.

    Exact, streamed like `aggregate`, with the same arguments. k: from 1 to the number of keys.
    The order among equal scores is arbitrary. Raises ConfigError for k out of range, shapes that
    do not match, NaN or infinite rows.
    """
    device, tile = prepare(queries, keys, tile, device, precision)
    if not 1 <= k <= len(keys):
        raise ConfigError(f"k is between 1 and the number of keys, {len(keys)}, not {k}")
    scores, indices = torch.empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)

    def start(begin: int, rows: torch.Tensor) -> _Best:
        return _Best(rows, k)

    with matmul_precision(precision):
        for begin, best in sweep(start, queries, {"keys": keys}, [], tile, device, progress):
            end = begin + len(best.queries)
            scores[begin:end], order = best.scores.sort(dim=1, descending=True)
            indices[begin:end] = best.indices.gather(1, order)
    as_queries = like(queries)
    return TopK(as_queries(scores), as_queries(indices))


class _Best:
    """Running top k of one tile of queries."""

    def __init__(self, queries: torch.Tensor, k: int):
        self.queries = queries
        self.scores = queries.new_full((len(queries), k), -math.inf)
        self.indices = torch.zeros(len(queries), k, dtype=torch.int64, device=queries.device)

    def add(self, first: int, keys: torch.Tensor, values: list) -> None:
        k, scores = self.scores.shape[1], product(self.queries, keys)
        # Selection is slower than the GEMM; after the first tiles few rows still improve.
        rows = (scores.amax(dim=1) > self.scores.amin(dim=1)).nonzero()[:, 0]
        if not len(rows):  # on a GPU, topk of no rows is an invalid launch
            return
        best, at = scores[rows].topk(min(k, len(keys)), dim=1, sorted=False)
        best = torch.cat([self.scores[rows], best], 1)
        at = torch.cat([self.indices[rows], at + first], 1)
        self.scores[rows], order = best.topk(k, dim=1, sorted=False)
        self.indices[rows] = at.gather(1, order)
