"""Softmax aggregation over a bank, normalize(softmax(q K^T / tau) V), without the n x m weights.

Exact, and equal to exmcr.pairing.aggregation.softmax_aggregation (arXiv:2310.08884, section 3.2).
Queries and keys are cut into tiles; each pair of tiles gives scores, weights, their sums, and a
product with the values.

Speed and accuracy rest on five choices:
- On a CPU both products run in oneDNN, which torch uses for compiled linear layers. In float32 it
  is about twice as fast as the BLAS behind torch.mm on AMD, which does not use AVX-512. A tile of
  keys is packed into the layout of oneDNN once, for many tiles of queries.
- On a CPU every thread works on its own query tiles and reads the keys independently. Threads
  that split each product would synchronize dozens of times a second, at the pace of the slowest.
- On a CPU, oneDNN applies the exponential to the scores while they are in registers. It offers a
  sigmoid but no exp; sigmoid(x) equals exp(x) to 4e-7 for x < -15, so scores are shifted below
  that. Between the products only the sum of the weights remains to be computed.
- The maximum is tracked, not assumed. For unit rows exp((s - 0.5) / tau) cannot overflow down to
  tau = 0.007, but a query without a near key would underflow to 0 / 0, and a smaller tau or longer
  rows overflow. The shift of a query moves only when a tile exceeds its headroom, a few times per
  query; otherwise no accumulated value is rescaled.
- Scores, weights and products are float32, sums float64. bfloat16 scores would change a weight by
  24 % at tau = 0.01.

There is no mode that keeps only the top k. On the mini banks (notebooks/02_pair.ipynb) the 256
heaviest keys hold over 99.5 % of the weight on average, so truncation would be almost harmless;
but exact search needs the first product and a selection, and `search.topk` alone, with k = 100,
takes longer than the whole aggregation. The weight that a truncation discards is
1 - sum of exp(scores / tau - log_mass) over the kept keys, with `log_mass` from here.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from exmcr.common.errors import ConfigError
from exmcr.kernels.layers import add_product, on_onednn, packed, product
from exmcr.kernels.tiles import Array, like, matmul_precision, prepare, sweep, threads_for

# _FusedSoftmax: nats from the largest score so far up to the shift, and the sum of weights below
# which each weight is exp(x) to 4e-7. float32 has 87 nats below 1: 15 are headroom for scores yet
# to come, in 15 a sigmoid is no exp, 57 remain for smaller weights (27 of their squares, the
# 700,000th part of the largest weight). Below 32 float32 rounds x twice as finely as above.
MARGIN, SMALL = 30.0, 2.0**-22
# _Softmax, in bits: weights < 2^30, their squares over 2^24 keys < 2^84, far from 2^127.
HEADROOM = 30.0


class Aggregated(NamedTuple):
    """values     list of float32 (n, dv), one per value bank, unit rows when normalize=True
    neighbors  float32 (n,), effective number of neighbors 1 / sum(w^2), from 1 to the number of
               keys; None unless requested
    log_mass   float32 (n,), log sum exp(q.k / tau) in nats

    numpy arrays if the queries are numpy, tensors on the CPU otherwise.
    """

    values: list[Any]
    neighbors: Any
    log_mass: Any


def check_tau(tau: float) -> None:
    """Raise ConfigError unless tau is a finite number above 0."""
    if not (isinstance(tau, (int, float)) and 0 < tau < math.inf):
        raise ConfigError(f"tau is a finite number above 0, not {tau!r}")


def check_values(keys: Array, values: Sequence[Array]) -> None:
    """Raise ConfigError unless every value bank (m, dv) has one row per key."""
    for index, bank in enumerate(values):
        if bank.ndim != 2 or len(bank) != len(keys):
            raise ConfigError(
                f"values[{index}] has shape {tuple(bank.shape)}, but there are {len(keys)} keys"
            )


def aggregate(
    queries: Array,
    keys: Array,
    values: Array | Sequence[Array],
    tau: float,
    *,
    normalize: bool = True,
    neighbors: bool = False,
    tile: tuple[int, int] | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    group=None,
    progress: Callable[[int, int], Any] | None = None,
) -> Aggregated:
    """softmax(queries keys^T / tau) values, scaled to unit rows unless normalize=False.

    queries    (n, d), keys (m, d): unit rows; arrays, memory-maps or tensors of any float type,
               computed in float32
    values     (m, dv), or a list of such banks that share the weights; `keys` itself (the same
               object) is read once
    tau        temperature, > 0; 0.01 in the paper
    neighbors  whether to count them: one more pass over the weights, 3 % of the time
    tile       (queries, keys) per tile; None takes the tuned one of the device
    device     None: CUDA if available, else CPU
    precision  "float32", or "tf32" for the GEMM inputs on CUDA (10 bits of mantissa: lossless for
               float16 banks)
    group      torch.distributed group whose ranks hold the same queries and one shard each of
               keys and values; every rank gets the result over all shards. A shard may be empty.
               An error on one rank is raised there only
    progress   called as progress(done, total), in scores of this rank

    Raises ConfigError: tau not > 0, shapes that do not match, no keys, NaN or infinite rows, zero
    mean of values.
    """
    check_tau(tau)
    value_banks = [values] if isinstance(values, np.ndarray | torch.Tensor) else list(values)
    device, tile = prepare(queries, keys, tile, device, precision)
    check_values(keys, value_banks)
    if not value_banks or (len(keys) == 0 and group is None):
        raise ConfigError("nothing to aggregate: no keys, or no value bank")
    banks, names = _distinct(keys, value_banks)
    widths = [bank.shape[1] for bank in value_banks]
    means = [torch.empty(len(queries), width) for width in widths]
    counts, log_mass = torch.empty(len(queries)), torch.empty(len(queries))
    kind = _FusedSoftmax if on_onednn(torch.empty(0, device=device)) else _Softmax
    threads = threads_for(queries, keys, device, group)

    def start(begin: int, rows: torch.Tensor) -> _Softmax:
        return kind(rows, widths, tau, neighbors)

    with matmul_precision(precision):
        for begin, softmax in sweep(
            start, queries, banks, names, tile, device, progress, kind.lay_out, threads
        ):
            if group is not None:
                softmax.reduce(group)
            rows = slice(begin, begin + len(softmax.queries))
            softmax.check(rows)
            for mean, result in zip(softmax.means(normalize), means):
                result[rows] = mean
            if softmax.squares is not None:  # at least 1 up to rounding
                counts[rows] = (softmax.total.square() / softmax.squares).clamp(min=1)
            log_mass[rows] = (softmax.total.log2() + softmax.shift) * math.log(2)
    as_queries = like(queries)
    counted = as_queries(counts) if neighbors else None
    return Aggregated([as_queries(mean) for mean in means], counted, as_queries(log_mass))


def _distinct(keys: Array, values: list[Array]) -> tuple[dict[str, Array], list[str]]:
    """Keys and value banks by name, each object once; and the name of every value bank."""
    banks: dict[str, Array] = {"keys": keys}
    names: list[str] = []
    for index, bank in enumerate(values):
        known = (name for name, other in banks.items() if other is bank)
        names.append(next(known, f"values[{index}]"))
        banks[names[-1]] = bank
    return banks, names


class _Softmax:
    """Running softmax of one tile of queries, relative to 2^shift in each row."""

    def __init__(self, queries: torch.Tensor, widths: list[int], tau: float, squares: bool):
        self.queries, self.alpha = queries, math.log2(math.e) / tau
        self.shift = queries.new_full((len(queries),), -math.inf)
        self.total = torch.zeros_like(self.shift, dtype=torch.float64)
        self.squares = torch.zeros_like(self.total) if squares else None
        self.weighted = [queries.new_zeros(len(queries), width) for width in widths]

    @staticmethod
    def lay_out(keys, values, rows):
        return keys, [value.T for value in values]

    def add(self, first: int, keys: torch.Tensor, values: list[torch.Tensor]) -> None:
        weights, sums = self._weigh(keys)
        self.total += sums
        if self.squares is not None:
            self.squares += torch.linalg.vector_norm(weights, dim=1).double().square()
        for value, weighted in zip(values, self.weighted):
            add_product(weighted, weights, value)

    def _weigh(self, keys):
        scores = product(self.queries, keys)
        peak = scores.amax(dim=1) * self.alpha
        if (peak > self.shift + HEADROOM).any():
            self._move(torch.maximum(peak, self.shift))
        weights = torch.add(-self.shift[:, None], scores, alpha=self.alpha, out=scores).exp2_()
        return weights, weights.sum(dim=1)

    def _move(self, shift):
        """Rescale the accumulated sums to another shift. Initially it is -inf and sums are 0."""
        factor = (self.shift - shift).exp2()
        self.shift = shift
        self.total *= factor
        if self.squares is not None:
            self.squares *= factor.double().square()
        for weighted in self.weighted:
            weighted *= factor[:, None]

    def reduce(self, group) -> None:
        """Sum over ranks, each with its own keys. Aligns the shifts, which differ by rank."""
        distributed, shift = torch.distributed, self.shift.clone()
        distributed.all_reduce(shift, distributed.ReduceOp.MAX, group)
        if (shift == -math.inf).any():
            raise ConfigError("nothing to aggregate: no rank of the group has keys")
        self._move(shift)
        squares = [] if self.squares is None else [self.squares]
        for part in [self.total, *squares, *self.weighted]:
            distributed.all_reduce(part, distributed.ReduceOp.SUM, group)

    def check(self, rows: slice) -> None:
        """Raise ConfigError if float32 could not represent the scores of a query in `rows`."""
        if not (self.total.isfinite() & (self.total > 0)).all():
            raise ConfigError(
                f"scores / tau exceed float32 for a query in rows {rows.start}:{rows.stop}: "
                "are the rows of unit norm?"
            )

    def means(self, normalize: bool):
        """Yield the weighted mean of every value bank, float32 (n, dv)."""
        for weighted in self.weighted:
            mean = (weighted / self.total[:, None]).float()
            if normalize:
                norm = mean.norm(dim=1, keepdim=True)
                if not ((norm > 0) & norm.isfinite()).all():
                    raise ConfigError(
                        "a weighted mean of the values is zero or infinite: it has no direction"
                    )
                mean /= norm
            yield mean


class _FusedSoftmax(_Softmax):
    """The same, with weights that oneDNN computes as it writes the product.

    The last column of the queries holds -shift and that of the keys holds 1, so the product is
    x = q.k / tau - shift and the weight is sigmoid(x), which is exp(x) to 4e-7 for x < -15. The
    shift lies MARGIN nats above the largest score so far; it moves when the weights of a tile sum
    to more than SMALL.
    """

    def __init__(self, queries: torch.Tensor, widths: list[int], tau: float, squares: bool):
        super().__init__(queries, widths, tau, squares)
        self.queries = torch.cat([queries / tau, queries.new_zeros(len(queries), 1)], dim=1)

    @staticmethod
    def lay_out(keys, values, rows):
        keys = torch.cat([keys, keys.new_ones(len(keys), 1)], dim=1)
        return packed(keys, rows), [packed(value.T, rows) for value in values]

    def _weigh(self, keys):
        if self.shift[0] > -math.inf:
            weights, sums = self._weights(keys)
            if not (sums > SMALL).any():
                return weights, sums
        self.queries[:, -1] = 0
        peak = product(self.queries, keys).amax(dim=1)
        self._move(torch.maximum((peak + MARGIN) * math.log2(math.e), self.shift))
        self.queries[:, -1] = self.shift * -math.log(2)
        weights, sums = self._weights(keys)
        # Still too large: scores beyond 1e8 nats, which float32 cannot shift exactly. There the
        # sigmoid is no exponential, so the sum becomes NaN and `check` raises.
        return weights, torch.where(sums > SMALL, math.nan, sums)

    def _weights(self, keys):
        weights = product(self.queries, keys, then="sigmoid")
        return weights, weights.sum(dim=1)
