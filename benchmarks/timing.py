"""What the benchmarks share: synthetic unit rows, timers, peak memory, rows of the record."""

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from record import COLUMNS

DIM = 512


def unit_rows(n: int, seed: int, device: str = "cpu") -> torch.Tensor:
    """Unit vectors (n, DIM) with a decaying spectrum around a common direction, like the outputs
    of contrastive encoders."""
    generator = torch.Generator(device).manual_seed(seed)
    rows = torch.randn(n, DIM, generator=generator, device=device)
    rows *= torch.arange(1, DIM + 1, device=device) ** -0.5
    rows[:, 0] += 1.5
    return rows.div_(rows.norm(dim=1, keepdim=True))


def bank_on_disk(folder: str | Path, m: int) -> str:
    """Path of a .npy file with m rows; made once per folder, in bounded memory."""
    path = Path(folder) / "bank.npy"
    if not path.exists():
        bank = np.lib.format.open_memmap(path, "w+", np.float32, (m, DIM))
        for first in range(0, m, 100_000):
            part = unit_rows(min(100_000, m - first), 100 + first)
            bank[first : first + len(part)] = part.numpy()
        bank.flush()
    return str(path)


def seconds(call: Callable, *arguments) -> float:
    """Wall time of one call, GPU work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    call(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def against(claim: str, ours: Callable, baseline: Callable, rounds: int = 3) -> dict:
    """A row with the median seconds of two calls, timed in alternation, because other processes
    may share the cores."""
    times = [(seconds(baseline), seconds(ours)) for _ in range(rounds)]
    fast = statistics.median(fast for _, fast in times)
    slow = statistics.median(slow for slow, _ in times)
    return row(claim, fast, "s", slow, statistics.median(slow / fast for slow, fast in times))


def row(claim, value, unit, baseline="", ratio="") -> dict[str, str]:
    """A row of the record, by column; prints it."""
    values = [f"{x:.4g}" if isinstance(x, float) else str(x) for x in (value, baseline, ratio)]
    cells = (claim, values[0], unit, values[1], values[2])
    print("  " + "  ".join(cells), flush=True)
    return dict(zip(COLUMNS, cells))


def anonymous_memory() -> int:
    """Private memory of this process in bytes. Pages of a mapped bank belong to the page cache and
    are not counted."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def anonymous_peak(call: Callable) -> tuple[int, float]:
    """Peak of the private memory in bytes above its value before the call, sampled every 5 ms; and
    the seconds of the call."""
    before, peak, stop = anonymous_memory(), 0, threading.Event()

    def sample():
        nonlocal peak
        while not stop.wait(0.005):
            peak = max(peak, anonymous_memory())

    sampler = threading.Thread(target=sample)
    sampler.start()
    took = seconds(call)
    stop.set()
    sampler.join()
    return max(0, peak - before), took
