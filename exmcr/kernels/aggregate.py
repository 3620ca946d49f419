"""Softmax aggregation over a bank: `normalize(softmax(q K^T / tau) V)`, exact, without ever holding the N x M weights.

This is how unpaired banks become pseudo pairs (arXiv 2310.08884, "various modality-centric data"; arXiv 2305.14381).
Queries and keys are cut into tiles, which pass one after another: scores, weights, their sums, product with the values.

Five choices carry the speed and the accuracy:
- On a CPU both products go to oneDNN, which torch itself uses for compiled linear layers: in float32 it is about twice
  as fast as the BLAS behind torch.mm on AMD, where that BLAS leaves AVX-512 alone. A tile of keys is brought into the order
  in which oneDNN reads it once for many tiles of queries.
- On a CPU every thread has query tiles of its own, and works through the keys without waiting for the others: threads that share
  every single product meet dozens of times a second, and all wait for the last one.
- On a CPU, oneDNN turns scores into weights while they are in its registers. It has no exp to offer, but a sigmoid, which is
  exp(x) to 4e-7 where x < -15: scores are shifted to below that. Their sum is all that is left between the products.
- The maximum is tracked, not assumed. For unit rows exp((s - 0.5) / tau) cannot overflow down to tau 0.007, but a query
  with no near key would underflow to 0 / 0 there, and smaller tau or longer rows overflow. The shift of a query moves only
  when a tile exceeds what it left room for, a few times per query; otherwise nothing accumulated is ever rescaled.
- Scores, weights and products are float32, sums float64. Never bfloat16: at tau 0.01 that is a 24 % error of a weight.

There is no mode that keeps the top k only. On the mini banks (notebooks/02_pair.ipynb draws it) the 256 heaviest keys hold over
99.5 % of the weight on average, so it would be nearly harmless; but exact search needs the first product and a selection, and
`topk` alone, with k of 100, takes longer than the whole `aggregate`. What a cut would discard is 1 - sum of exp(scores / tau - log_mass)
over the kept keys: `topk` and `log_mass` give it exactly.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from exmcr.common.errors import ConfigError
from exmcr.kernels.layers import add_product, on_onednn, packed, product
from exmcr.kernels.tiles import like, matmul_precision, prepare, sweep, threads_for

# _FusedSoftmax: nats from the largest score seen to the shift, and a sum of weights below which each is exp(x) to 4e-7. Of the 87 nats
# of float32, 23 are for scores yet to come, 15 are where a sigmoid is no exp, 49 are for smaller weights (their squares: 11, a 300th).
MARGIN, SMALL = 38.0, 2.0**-22
# _Softmax, in bits: weights < 2^30, their squares over 2^24 keys < 2^84, far from 2^127.
HEADROOM = 30.0


class Aggregated(NamedTuple):
    """values      list of float32 (n, dv), one per value bank, unit rows when normalize=True
    neighbors  float32 (n,), effective number of neighbors 1 / sum(w^2), between 1 and the number of keys; None if not asked for
    log_mass    float32 (n,), log sum exp(q.k / tau) in nats"""

    values: list
    neighbors: np.ndarray | torch.Tensor | None
    log_mass: np.ndarray | torch.Tensor


def aggregate(
    queries,
    keys,
    values,
    tau,
    *,
    normalize=True,
    neighbors=False,
    tile=None,
    device=None,
    precision="float32",
    group=None,
    progress=None,
) -> Aggregated:
    """softmax(queries keys^T / tau) values, then unit rows.

    queries    (n, d), keys (m, d): unit rows; arrays, memory-maps or tensors of any float type, computed in float32
    values     (m, dv), or a list of such banks that share the weights; `keys` itself (the same object) is read once
    tau        temperature, > 0; 0.01 in the paper
    neighbors whether to count them: one more pass over the weights, 3 % of the time
    tile       (queries, keys) per tile; None takes the tuned one of the device
    device     None: CUDA when there is one, else CPU. The result is on the CPU, as numpy if the queries are numpy
    precision  "float32", or "tf32" for the GEMM inputs on CUDA (10 bits of mantissa: lossless for float16 banks)
    group      torch.distributed process group whose ranks hold the same queries and each a shard of keys and values;
               every rank gets the result over all shards. A shard may be empty. An error on one rank raises there only
    progress   called as progress(done, total), counting scores of this rank
    Raises ConfigError: tau not > 0, shapes that do not fit, no keys, NaN or infinite rows, zero mean of values."""
    if not (isinstance(tau, (int, float)) and 0 < tau < math.inf):
        raise ConfigError(f"tau is a finite number above 0, not {tau!r}")
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    device, tile = prepare(queries, keys, tile, device, precision)
    for index, bank in enumerate(values):
        if bank.ndim != 2 or len(bank) != len(keys):
            raise ConfigError(
                f"values[{index}] has shape {tuple(bank.shape)}, but there are {len(keys)} keys"
            )
    if not values or (len(keys) == 0 and group is None):
        raise ConfigError("nothing to aggregate: no keys, or no value bank")

    banks, names = {"keys": keys}, []
    for index, bank in enumerate(values):  # what is given twice is read once
        names.append(
            next((name for name, known in banks.items() if known is bank), f"values[{index}]")
        )
        banks[names[-1]] = bank
    out = [torch.empty(len(queries), bank.shape[1]) for bank in values]
    counts, log_mass = torch.empty(len(queries)) if neighbors else None, torch.empty(len(queries))

    kind = _FusedSoftmax if on_onednn(torch.empty(0, device=device)) else _Softmax

    def start(begin, rows):
        return kind(rows, [bank.shape[1] for bank in values], tau, neighbors)

    with matmul_precision(precision):
        for begin, softmax in sweep(
            start,
            queries,
            banks,
            names,
            tile,
            device,
            progress,
            kind.lay_out,
            threads_for(queries, keys, device, group),
        ):
            if group is not None:
                softmax.reduce(group)
            end = begin + len(softmax.queries)
            if not (softmax.total.isfinite() & (softmax.total > 0)).all():
                raise ConfigError(
                    f"scores / tau exceed float32 for a query in rows {begin}:{end}: are the rows of unit norm?"
                )
            for result, weighted in zip(out, softmax.weighted):
                mean = (weighted / softmax.total[:, None]).float()
                if normalize:
                    norm = mean.norm(dim=1, keepdim=True)
                    if not ((norm > 0) & norm.isfinite()).all():
                        raise ConfigError(
                            "a weighted mean of the values is zero or infinite: it has no direction"
                        )
                    mean /= norm
                result[begin:end] = mean
            if neighbors:
                counts[begin:end] = (softmax.total.square() / softmax.squares).clamp(
                    min=1
                )  # 1 up to rounding
            log_mass[begin:end] = (softmax.total.log2() + softmax.shift) * math.log(2)
    plain = like(queries)
    return Aggregated(
        [plain(result) for result in out], plain(counts) if neighbors else None, plain(log_mass)
    )


class _Softmax:
    """Running softmax of one tile of queries: everything is relative to 2^shift, row by row."""

    def __init__(self, queries, widths, tau, squares):
        self.queries, self.alpha = queries, math.log2(math.e) / tau
        self.shift = queries.new_full((len(queries),), -math.inf)
        self.total = torch.zeros_like(self.shift, dtype=torch.float64)
        self.squares = torch.zeros_like(self.total) if squares else None
        self.weighted = [queries.new_zeros(len(queries), width) for width in widths]

    @staticmethod
    def lay_out(keys, values, rows):
        return keys, [value.T for value in values]

    def add(self, first, keys, values):
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
        """Express what was accumulated relative to another shift. At first the shift is -inf and there is nothing."""
        factor = (self.shift - shift).exp2()
        self.shift = shift
        self.total *= factor
        if self.squares is not None:
            self.squares *= factor.double().square()
        for weighted in self.weighted:
            weighted *= factor[:, None]

    def reduce(self, group):
        """Sum over ranks, each of which has seen its own keys. Shifts differ by rank: align them to the largest."""
        distributed, shift = torch.distributed, self.shift.clone()
        distributed.all_reduce(shift, distributed.ReduceOp.MAX, group)
        if (shift == -math.inf).any():
            raise ConfigError("nothing to aggregate: no rank of the group has keys")
        self._move(shift)
        for part in [self.total, *([] if self.squares is None else [self.squares]), *self.weighted]:
            distributed.all_reduce(part, distributed.ReduceOp.SUM, group)


class _FusedSoftmax(_Softmax):
    """The same, with weights that oneDNN makes as it writes the product: sigmoid(x) is exp(x) to 4e-7 where x < -15.

    A last column of the queries holds -shift and one of the keys holds 1, so that the product is x = q.k / tau - shift; the
    shift lies MARGIN nats above the largest score seen, and a tile whose weights sum to more than SMALL moves it."""

    def __init__(self, queries, widths, tau, squares):
        super().__init__(queries, widths, tau, squares)
        self.queries = torch.cat([queries / tau, queries.new_zeros(len(queries), 1)], dim=1)

    @staticmethod
    def lay_out(keys, values, rows):
        return packed(torch.cat([keys, keys.new_ones(len(keys), 1)], dim=1), rows), [
            packed(value.T, rows) for value in values
        ]

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
        # Still too large: scores past 1e8 nats, which float32 cannot shift exactly. What is no exp counts as NaN.
        return weights, torch.where(sums > SMALL, math.nan, sums)

    def _weights(self, keys):
        weights = product(self.queries, keys, then="sigmoid")
        return weights, weights.sum(dim=1)
