"""Tiles of queries and keys, which pass one after another: what the streaming kernels share."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import numpy as np
import torch

from exmcr.common.errors import ConfigError
from exmcr.kernels.layers import keep_memory, packed

# Rows of queries, rows of keys, at most. CPU: 12 MB of scores for each thread; smaller tiles lose to what a call costs, and of larger
# ones glibc gives the memory back each time, since a thread's heap has 64 MB. GPU: launches and one synchronization per tile hide.
CPU_TILE, CUDA_TILE = (1536, 2048), (16384, 8192)
QUERY_TILES = 16  # query tiles that share one reading of the bank: a bank on disk is read n / (16 * 1536) times
BLOCK = 16384  # rows of a bank in memory at once (32 MB at 512-d), twice with the prefetched next block; keys and values once more, laid out
FEWEST = 2**24  # scores, below which threads do not pay: to begin takes them milliseconds


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
    threads = threads or threads_for(queries, banks["keys"], device)
    resident = None
    if (
        device.type == "cuda"
        and sum(b.shape[0] * b.shape[1] * 4 for b in banks.values())
        < torch.cuda.mem_get_info(device)[0] / 2
    ):
        resident = list(_blocks(banks, device))  # keys and values fit: they cross the bus once
    for block in range(0, len(queries), step):
        rows = _rows(queries, block, min(block + step, len(queries)), device, "queries")
        size = _share(len(rows), tile[0], threads)
        states = [start(block + i * size, part) for i, part in enumerate(rows.split(size))]
        count = min(threads, len(states))
        with (
            _pool(count, max(1, torch.get_num_threads() // count)) as pool,
            closing(_blocks(banks, device)) as blocks,
        ):
            side_by_side = map if count == 1 else pool.map
            for first, parts in resident or blocks:
                keys, values = parts["keys"], [parts[name] for name in names]
                tiles = [
                    (
                        first + j,
                        *lay_out(
                            keys[j : j + tile[1]],
                            [value[j : j + tile[1]] for value in values],
                            size,
                        ),
                    )
                    for j in range(0, len(keys), tile[1])
                ]
                for _ in side_by_side(
                    partial(_show, tiles, torch.is_inference_mode_enabled()),
                    [states[i::count] for i in range(count)],
                ):
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


def threads_for(queries, keys, device, group=None):
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
        with ThreadPoolExecutor(
            count, initializer=torch.set_num_threads, initargs=(cores,)
        ) as pool:
            yield pool
    finally:
        torch.set_num_threads(
            before
        )  # what a thread sets for itself is also what later threads begin with


def _blocks(banks, device):
    """Yield (first row, [block of each bank]); the next block is read and copied by a thread meanwhile."""
    main = torch.cuda.current_stream(device) if device.type == "cuda" else None
    side = torch.cuda.Stream(device) if main else None

    def read(first):
        with torch.cuda.stream(side):  # does nothing when side is None
            parts = {
                name: _rows(bank, first, first + BLOCK, device, name)
                for name, bank in banks.items()
            }
        if side:
            side.synchronize()
            for part in parts.values():
                part.record_stream(main)
        return first, parts

    with _pool(1, 1) as reader:
        ahead = reader.submit(read, 0)
        for first in range(0, len(banks["keys"]), BLOCK):
            ready = ahead.result()
            ahead = (
                reader.submit(read, first + BLOCK) if first + BLOCK < len(banks["keys"]) else None
            )
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
            raise ConfigError(
                f"{name}: row {begin + int(bad[0])} is not finite, nor {len(bad) - 1} more of rows {begin}:{end}"
            )
    return part


def prepare(queries, keys, tile, device, precision="float32"):
    """The device, and a tile (queries, keys) no larger than its input. Raises ConfigError for what does not fit together."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if precision not in ("float32", "tf32") or (precision == "tf32" and device.type != "cuda"):
        raise ConfigError(
            f"precision is 'float32', or 'tf32' on CUDA, not {precision!r} on {device.type}"
        )
    if queries.ndim != 2 or keys.ndim != 2 or queries.shape[1] != keys.shape[1]:
        raise ConfigError(
            f"queries {tuple(queries.shape)} and keys {tuple(keys.shape)} are not (n, d) and (m, d)"
        )
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
        switches[0].fp32_precision, switches[1].fp32_precision = (
            "tf32" if precision == "tf32" else "ieee",
            "ieee",
        )
        yield
    finally:
        for switch, value in zip(switches, before):
            switch.fp32_precision = value


def like(queries):
    return (lambda tensor: tensor) if torch.is_tensor(queries) else torch.Tensor.numpy
