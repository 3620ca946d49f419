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
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from exmcr.errors import ConfigError
from exmcr.layers import add_product, keep_memory, on_onednn, packed, product

# Rows of queries, rows of keys, at most. CPU: 12 MB of scores for each thread; smaller tiles lose to what a call costs, and of larger
# ones glibc gives the memory back each time, since a thread's heap has 64 MB. GPU: launches and one synchronisation per tile hide.
CPU_TILE, CUDA_TILE = (1536, 2048), (16384, 8192)
QUERY_TILES = 16  # query tiles that share one reading of the bank: a bank on disk is read n / (16 * 1536) times
BLOCK = 16384  # rows of a bank in memory at once (32 MB at 512-d), twice with the prefetched next block; keys and values once more, laid out
FEWEST = 2**24  # scores, below which threads do not pay: to begin takes them milliseconds
# _FusedSoftmax: nats from the largest score seen to the shift, and a sum of weights below which each is exp(x) to 4e-7. Of the 87 nats
# of float32, 23 are for scores yet to come, 15 are where a sigmoid is no exp, 49 are for smaller weights (their squares: 11, a 300th).
MARGIN, SMALL = 38.0, 2.0**-22
# _Softmax, in bits: weights < 2^30, their squares over 2^24 keys < 2^84, far from 2^127.
HEADROOM = 30.0


class Aggregated(NamedTuple):
    """values      list of float32 (n, dv), one per value bank, unit rows when normalize=True
    neighbours  float32 (n,), effective number of neighbours 1 / sum(w^2), between 1 and the number of keys; None if not asked for
    log_mass    float32 (n,), log sum exp(q.k / tau) in nats"""

    values: list
    neighbours: np.ndarray | torch.Tensor | None
    log_mass: np.ndarray | torch.Tensor


class TopK(NamedTuple):
    """scores   float32 (n, k), descending cosines
    indices  int64 (n, k), rows of the bank"""

    scores: np.ndarray | torch.Tensor
    indices: np.ndarray | torch.Tensor


def aggregate(queries, keys, values, tau, *, normalize=True, neighbours=False, tile=None, device=None, precision="float32",
              group=None, progress=None) -> Aggregated:
    """softmax(queries keys^T / tau) values, then unit rows.

    queries    (n, d), keys (m, d): unit rows; arrays, memory-maps or tensors of any float type, computed in float32
    values     (m, dv), or a list of such banks that share the weights; `keys` itself (the same object) is read once
    tau        temperature, > 0; 0.01 in the paper
    neighbours whether to count them: one more pass over the weights, 3 % of the time
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
            raise ConfigError(f"values[{index}] has shape {tuple(bank.shape)}, but there are {len(keys)} keys")
    if not values or (len(keys) == 0 and group is None):
        raise ConfigError("nothing to aggregate: no keys, or no value bank")

    banks, names = {"keys": keys}, []
    for index, bank in enumerate(values):  # what is given twice is read once
        names.append(next((name for name, known in banks.items() if known is bank), f"values[{index}]"))
        banks[names[-1]] = bank
    out = [torch.empty(len(queries), bank.shape[1]) for bank in values]
    counts, log_mass = torch.empty(len(queries)) if neighbours else None, torch.empty(len(queries))

    kind = _FusedSoftmax if on_onednn(torch.empty(0, device=device)) else _Softmax

    def start(begin, rows):
        return kind(rows, [bank.shape[1] for bank in values], tau, neighbours)

    with matmul_precision(precision):
        for begin, softmax in sweep(start, queries, banks, names, tile, device, progress, kind.lay_out, _threads_for(queries, keys, device, group)):
            if group is not None:
                softmax.reduce(group)
            end = begin + len(softmax.queries)
            if not (softmax.total.isfinite() & (softmax.total > 0)).all():
                raise ConfigError(f"scores / tau exceed float32 for a query in rows {begin}:{end}: are the rows of unit norm?")
            for result, weighted in zip(out, softmax.weighted):
                mean = (weighted / softmax.total[:, None]).float()
                if normalize:
                    norm = mean.norm(dim=1, keepdim=True)
                    if not ((norm > 0) & norm.isfinite()).all():
                        raise ConfigError("a weighted mean of the values is zero or infinite: it has no direction")
                    mean /= norm
                result[begin:end] = mean
            if neighbours:
                counts[begin:end] = (softmax.total.square() / softmax.squares).clamp(min=1)  # 1 up to rounding
            log_mass[begin:end] = (softmax.total.log2() + softmax.shift) * math.log(2)
    plain = _like(queries)
    return Aggregated([plain(result) for result in out], plain(counts) if neighbours else None, plain(log_mass))


def topk(queries, keys, k, *, tile=None, device=None, precision="float32", progress=None) -> TopK:
    """The k keys of highest inner product for every query, exact, streamed like `aggregate` (same arguments).

    1 <= k <= number of keys. Among equal scores any may be returned. Raises ConfigError for k out of range, shapes
    that do not fit, NaN or infinite rows."""
    device, tile = prepare(queries, keys, tile, device, precision)
    if not 1 <= k <= len(keys):
        raise ConfigError(f"k is between 1 and the number of keys, {len(keys)}, not {k}")
    scores, indices = torch.empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)
    with matmul_precision(precision):
        for begin, best in sweep(lambda begin, rows: _Best(rows, k), queries, {"keys": keys}, [], tile, device, progress):
            end = begin + len(best.queries)
            scores[begin:end], order = best.scores.sort(dim=1, descending=True)
            indices[begin:end] = best.indices.gather(1, order)
    plain = _like(queries)
    return TopK(plain(scores), plain(indices))


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
        return packed(torch.cat([keys, keys.new_ones(len(keys), 1)], dim=1), rows), [packed(value.T, rows) for value in values]

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
        found, at = torch.cat([self.scores[rows], found], 1), torch.cat([self.indices[rows], at + first], 1)
        self.scores[rows], order = found.topk(self.scores.shape[1], dim=1, sorted=False)
        self.indices[rows] = at.gather(1, order)


def keys_packed(keys, values, rows):
    """Keys as `product` reads them fastest, values as they are."""
    return packed(keys, rows), values


def sweep(start, queries, banks, names, tile, device, progress, lay_out=keys_packed, threads=None):
    """Yield (first query, state) for every tile of queries, after its state has seen every key.

    start(first query, rows) makes the state of a tile; state.add(first, keys, values) shows it the keys first:first + len(keys) and
    the rows that the banks called `names` have for them. lay_out(keys, values, rows of a query tile) makes of a tile of keys what
    all states are shown, once for all of them. `threads` of them work side by side on a CPU, each on states of its own (None: as many
    as pay)."""
    keep_memory()
    done, total = 0, max(1, len(queries) * len(banks["keys"]))
    step = _share(len(queries), tile[0] * QUERY_TILES)
    threads = threads or _threads_for(queries, banks["keys"], device)
    resident = None
    if device.type == "cuda" and sum(b.shape[0] * b.shape[1] * 4 for b in banks.values()) < torch.cuda.mem_get_info(device)[0] / 2:
        resident = list(_blocks(banks, device))  # keys and values fit: they cross the bus once
    for block in range(0, len(queries), step):
        rows = _rows(queries, block, min(block + step, len(queries)), device, "queries")
        size = _share(len(rows), tile[0], threads)
        states = [start(block + i * size, part) for i, part in enumerate(rows.split(size))]
        count = min(threads, len(states))
        with _pool(count, max(1, torch.get_num_threads() // count)) as pool, closing(_blocks(banks, device)) as blocks:
            side_by_side = map if count == 1 else pool.map
            for first, parts in resident or blocks:
                keys, values = parts["keys"], [parts[name] for name in names]
                tiles = [(first + j, *lay_out(keys[j : j + tile[1]], [value[j : j + tile[1]] for value in values], size))
                         for j in range(0, len(keys), tile[1])]  # fmt: skip
                for _ in side_by_side(partial(_show, tiles, torch.is_inference_mode_enabled()), [states[i::count] for i in range(count)]):
                    pass  # but for the first error of a thread, raised here
                del tiles  # before the next ones are laid out
                done += len(rows) * len(keys)
                if progress is not None:
                    progress(done, total)
        for i, state in enumerate(states):
            yield block + i * size, state


def _show(tiles, inference, states):
    with torch.inference_mode(inference):  # a thread does not begin in the mode of its caller
        for part in tiles:
            for state in states:
                state.add(*part)


def _threads_for(queries, keys, device, group=None):
    """Threads side by side: 1 where they do not pay. Ranks take the fewest of any of them, since all must cut the queries alike."""
    worth = device.type == "cpu" and len(queries) * len(keys) >= FEWEST
    count = torch.tensor(torch.get_num_threads() if worth else 1, device=device)
    if group is not None:
        torch.distributed.all_reduce(count, torch.distributed.ReduceOp.MIN, group)
    return int(count)


def _share(n, most, of=1):
    """Size of n things' parts, of `most` at most and as equal as can be, so that `of` workers have equally many if n is not small."""
    parts = -(-n // (most * of)) * of
    return -(-n // parts) if n else 1


@contextmanager
def _pool(count, cores):
    """A pool of `count` threads, in each of which torch has so many cores."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(cores,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)  # what a thread sets for itself is also what later threads begin with


def _blocks(banks, device):
    """Yield (first row, [block of each bank]); the next block is read and copied by a thread meanwhile."""
    main = torch.cuda.current_stream(device) if device.type == "cuda" else None
    side = torch.cuda.Stream(device) if main else None

    def read(first):
        with torch.cuda.stream(side):  # does nothing when side is None
            parts = {name: _rows(bank, first, first + BLOCK, device, name) for name, bank in banks.items()}
        if side:
            side.synchronize()
            for part in parts.values():
                part.record_stream(main)
        return first, parts

    with _pool(1, 1) as reader:
        ahead = reader.submit(read, 0)
        for first in range(0, len(banks["keys"]), BLOCK):
            ready = ahead.result()
            ahead = reader.submit(read, first + BLOCK) if first + BLOCK < len(banks["keys"]) else None
            yield ready


def _rows(bank, begin, end, device, name):
    """Rows begin:end as float32 on the device, checked. Tensors already there are not copied, memory-maps are."""
    part = bank[begin:end]
    part = part.detach() if torch.is_tensor(part) else torch.from_numpy(np.array(part, np.float32))
    if device.type == "cuda" and part.device.type == "cpu":
        part = part.pin_memory()
    part = part.to(device, torch.float32, non_blocking=True).contiguous()
    if not part.sum().isfinite():  # one cheap pass: NaN and infinity survive a sum
        bad = (~part.isfinite().all(dim=1)).nonzero()[:, 0]
        if len(bad):
            raise ConfigError(f"{name}: row {begin + int(bad[0])} is not finite, nor {len(bad) - 1} more of rows {begin}:{end}")
    return part


def prepare(queries, keys, tile, device, precision="float32"):
    """The device, and a tile (queries, keys) no larger than its input. Raises ConfigError for what does not fit together."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if precision not in ("float32", "tf32") or (precision == "tf32" and device.type != "cuda"):
        raise ConfigError(f"precision is 'float32', or 'tf32' on CUDA, not {precision!r} on {device.type}")
    if queries.ndim != 2 or keys.ndim != 2 or queries.shape[1] != keys.shape[1]:
        raise ConfigError(f"queries {tuple(queries.shape)} and keys {tuple(keys.shape)} are not (n, d) and (m, d)")
    tile = tile or (CPU_TILE if device.type == "cpu" else CUDA_TILE)
    if len(tile) != 2 or min(tile) < 1:
        raise ConfigError(f"tile is (queries, keys), both at least 1, not {tile}")
    return device, (max(1, min(tile[0], len(queries))), max(1, min(tile[1], len(keys))))


@contextmanager
def matmul_precision(precision):
    """float32 means float32: the caller's own switches for TF32 and bfloat16 products are set aside for the duration."""
    switches = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]
    before = [switch.fp32_precision for switch in switches]
    try:
        switches[0].fp32_precision, switches[1].fp32_precision = "tf32" if precision == "tf32" else "ieee", "ieee"
        yield
    finally:
        for switch, value in zip(switches, before):
            switch.fp32_precision = value


def _like(queries):
    return (lambda tensor: tensor) if torch.is_tensor(queries) else torch.Tensor.numpy
