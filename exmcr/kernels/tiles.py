"""Streaming of keys past queries in tiles: the loop of `aggregate`, `search` and ranking."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch

from exmcr.common.errors import ConfigError
from exmcr.kernels.layers import keep_memory, packed

Array: TypeAlias = np.ndarray | torch.Tensor

# Largest tile, in rows of queries and rows of keys. CPU: 12 MB of scores per thread; in smaller
# tiles the cost of a call shows, and larger ones exceed the 64 MB heap of a thread, so that glibc
# returns their memory to the system each time. CUDA: large enough to hide launches and the one
# synchronization per tile.
CPU_TILE, CUDA_TILE = (1536, 2048), (16384, 8192)
QUERY_TILES = 16  # query tiles per pass over the bank: a bank on disk is read n / (16 * 1536) times
# Rows of a bank in memory at once: 32 MB at 512-d, twice that with the prefetched next block. Keys
# and values are held once more in the packed layout.
BLOCK = 16384
FEWEST = 2**24  # scores; below, starting threads (milliseconds) costs more than they save


def keys_packed(keys: torch.Tensor, values: list, rows: int) -> tuple[torch.Tensor, list]:
    """Keys in the layout that `product` reads fastest, values unchanged."""
    return packed(keys, rows), values


def sweep(
    start: Callable[[int, torch.Tensor], Any],
    queries: Array,
    banks: Mapping[str, Array],
    names: Sequence[str],
    tile: tuple[int, int],
    device: torch.device,
    progress: Callable[[int, int], Any] | None,
    lay_out: Callable = keys_packed,
    threads: int | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield (first query, state) for every tile of queries, after its state has seen every key.

    start     start(first query, rows) makes the state of a tile. state.add(first, keys, values)
              receives the keys first:first + len(keys) and the matching rows of `names`
    banks     {"keys": (m, d), other name: (m, ...)}
    names     the banks whose rows are passed as values
    tile      (queries, keys) per tile
    progress  called as progress(done, total), in scores
    lay_out   lay_out(keys, values, rows of a query tile) prepares a tile of keys once for all
              states
    threads   number of threads on a CPU, each with its own states; None: as many as pay off
    """
    keep_memory()
    done, total = 0, max(1, len(queries) * len(banks["keys"]))
    step = _share(len(queries), tile[0] * QUERY_TILES)
    threads = threads or threads_for(queries, banks["keys"], device)
    resident = list(_blocks(banks, device)) if _fits(banks, device) else None
    for block in range(0, len(queries), step):
        rows = checked_rows(queries, block, min(block + step, len(queries)), device, "queries")
        size = _share(len(rows), tile[0], threads)
        states = [start(block + i * size, part) for i, part in enumerate(rows.split(size))]
        count = min(threads, len(states))
        cores = max(1, torch.get_num_threads() // count)
        with _pool(count, cores) as pool, closing(_blocks(banks, device)) as blocks:
            run = map if count == 1 else pool.map
            shares = [states[i::count] for i in range(count)]
            for first, parts in resident or blocks:
                tiles = list(_tiles(first, parts, names, tile[1], size, lay_out))
                add = partial(_add, tiles, torch.is_inference_mode_enabled())
                for _ in run(add, shares):
                    pass  # raises the first error of a thread
                del tiles, add  # frees them before the next tiles are laid out
                done += len(rows) * len(parts["keys"])
                if progress is not None:
                    progress(done, total)
        for i, state in enumerate(states):
            yield block + i * size, state


def _tiles(first: int, parts: dict, names: Sequence[str], width: int, rows: int, lay_out: Callable):
    """Yield (first key, keys, values) of every tile of a block, laid out for query tiles of
    `rows` rows."""
    for j in range(0, len(parts["keys"]), width):
        tile = slice(j, j + width)
        yield first + j, *lay_out(parts["keys"][tile], [parts[name][tile] for name in names], rows)


def _add(tiles: list, inference: bool, states: list) -> None:
    with torch.inference_mode(inference):  # threads do not inherit the mode of their caller
        for tile in tiles:
            for state in states:
                state.add(*tile)


def threads_for(queries: Array, keys: Array, device: torch.device, group=None) -> int:
    """Number of threads; 1 where they do not pay off. Ranks take the minimum over all ranks, since
    they must cut the queries alike."""
    worth = device.type == "cpu" and len(queries) * len(keys) >= FEWEST
    count = torch.tensor(torch.get_num_threads() if worth else 1, device=device)
    if group is not None:
        torch.distributed.all_reduce(count, torch.distributed.ReduceOp.MIN, group)
    return int(count)


def _share(n: int, most: int, of: int = 1) -> int:
    """Size of the parts into which n rows are cut: at most `most` and as equal as possible; their
    number is a multiple of `of` unless n is small."""
    parts = -(-n // (most * of)) * of
    return -(-n // parts) if n else 1


@contextmanager
def _pool(count: int, cores: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of `count` threads, in each of which torch uses `cores` cores."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            count, initializer=torch.set_num_threads, initargs=(cores,)
        ) as pool:
            yield pool
    finally:
        # The number that a thread sets for itself is also the default of threads started later.
        torch.set_num_threads(before)


def _fits(banks: Mapping[str, Array], device: torch.device) -> bool:
    """Whether all banks fit into GPU memory, so that they cross the bus once."""
    if device.type != "cuda":
        return False
    size = sum(bank.shape[0] * bank.shape[1] * 4 for bank in banks.values())
    return size < torch.cuda.mem_get_info(device)[0] / 2


def _blocks(
    banks: Mapping[str, Array], device: torch.device
) -> Generator[tuple[int, dict[str, torch.Tensor]], None, None]:
    """Yield (first row, block of each bank); a thread reads and copies the next block meanwhile."""
    main = torch.cuda.current_stream(device) if device.type == "cuda" else None
    side = torch.cuda.Stream(device) if main else None
    if side and main:
        side.wait_stream(main)  # a bank on the device may still be in the making there

    def read(first: int):
        with torch.cuda.stream(side):  # no effect when side is None
            parts = {
                name: checked_rows(bank, first, first + BLOCK, device, name)
                for name, bank in banks.items()
            }
        if side and main:
            side.synchronize()
            for part in parts.values():
                part.record_stream(main)
        return first, parts

    with _pool(1, 1) as reader:
        ahead = reader.submit(read, 0)
        for first in range(0, len(banks["keys"]), BLOCK):
            ready, following = ahead.result(), first + BLOCK
            if following < len(banks["keys"]):
                ahead = reader.submit(read, following)
            yield ready


def checked_rows(
    bank: Array, begin: int, end: int, device: torch.device, name: str
) -> torch.Tensor:
    """Rows begin:end of a bank as float32 on the device. Copies memory-maps, but no tensor that is
    already there. Raises ConfigError for NaN or infinite rows; `name` names the bank."""
    part = bank[begin:end]
    if isinstance(part, torch.Tensor):
        part = part.detach()
    else:
        part = torch.from_numpy(np.array(part, np.float32))
    if device.type == "cuda" and part.device.type == "cpu":
        part = part.pin_memory()
    part = part.to(device, torch.float32, non_blocking=True).contiguous()
    if not part.sum().isfinite():  # one cheap pass: NaN and infinity survive a sum
        bad = (~part.isfinite().all(dim=1)).nonzero()[:, 0]
        if len(bad):
            raise ConfigError(
                f"{name}: row {begin + int(bad[0])} is not finite, "
                f"nor {len(bad) - 1} more of rows {begin}:{end}"
            )
    return part


def prepare(
    queries: Array,
    keys: Array,
    tile: tuple[int, int] | None,
    device: str | torch.device | None,
    precision: str = "float32",
) -> tuple[torch.device, tuple[int, int]]:
    """The device, and a tile (queries, keys) no larger than the input.

    Raises ConfigError for shapes that do not match, an unknown precision or an empty tile.
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if precision not in ("float32", "tf32") or (precision == "tf32" and chosen.type != "cuda"):
        raise ConfigError(
            f"precision is 'float32', or 'tf32' on CUDA, not {precision!r} on {chosen.type}"
        )
    if queries.ndim != 2 or keys.ndim != 2 or queries.shape[1] != keys.shape[1]:
        raise ConfigError(
            f"queries {tuple(queries.shape)} and keys {tuple(keys.shape)} are not (n, d) and (m, d)"
        )
    tile = tile or (CPU_TILE if chosen.type == "cpu" else CUDA_TILE)
    if len(tile) != 2 or min(tile) < 1:
        raise ConfigError(f"tile is (queries, keys), both at least 1, not {tile}")
    return chosen, (max(1, min(tile[0], len(queries))), max(1, min(tile[1], len(keys))))


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Compute products in "float32" or "tf32" (CUDA), whatever TF32 and bfloat16 settings the
    caller has made; these are restored at the end."""
    mkldnn: Any = torch.backends.mkldnn
    switches = [torch.backends.cuda.matmul, mkldnn.matmul]
    before = [switch.fp32_precision for switch in switches]
    try:
        switches[0].fp32_precision = "tf32" if precision == "tf32" else "ieee"
        switches[1].fp32_precision = "ieee"
        yield
    finally:
        for switch, value in zip(switches, before):
            switch.fp32_precision = value


def like(queries: Array) -> Callable[[torch.Tensor], Array]:
    """What turns a result into the kind of the queries: numpy for numpy, tensors as they are."""
    return (lambda tensor: tensor) if torch.is_tensor(queries) else torch.Tensor.numpy
