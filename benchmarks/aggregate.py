"""How fast, how small and how linear the streamed aggregation is.

    python benchmarks/aggregate.py            every part, each recorded in results.csv, RESULTS.md and growth.png when done (about 8 minutes)
    python benchmarks/aggregate.py --quick    smaller sizes, printed only
    python benchmarks/aggregate.py --only rate plain

Timings that are compared are taken in alternation and compared as medians, because other processes may share the cores."""

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import record
import torch

from exmcr.kernels import aggregate as module
from exmcr.kernels.aggregate import aggregate, topk

DIM, TAU = 512, 0.01
# The pools of arXiv 2310.08884, in millions; per center (queries, keys, value banks): overlap, leaf and base queries.
TEXT, SOUND, IMAGE = 2.33, 1.9, 1.28
PAPER = {
    "text-centric": [(TEXT, SOUND, 1), (TEXT, IMAGE, 1)],
    "audio-centric": [(SOUND, TEXT, 2), (SOUND, IMAGE, 1)],
    "image-centric": [(IMAGE, TEXT, 2), (IMAGE, SOUND, 1)],
}


def unit_rows(n, seed, device="cpu"):
    """Unit vectors with a decaying spectrum around a common direction, as contrastive encoders give them."""
    generator = torch.Generator(device).manual_seed(seed)
    rows = torch.randn(n, DIM, generator=generator, device=device)
    rows *= torch.arange(1, DIM + 1, device=device) ** -0.5
    rows[:, 0] += 1.5
    return rows.div_(rows.norm(dim=1, keepdim=True))


def seconds(call):
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def row(claim, value, unit, baseline="", ratio=""):
    show = lambda x: f"{x:.4g}" if isinstance(x, float) else x  # noqa: E731
    found = dict(
        claim=claim, value=show(value), unit=unit, baseline=show(baseline), ratio=show(ratio)
    )
    print("  " + "  ".join(str(part) for part in found.values()), flush=True)
    return found


def rate(quick, folder):
    """GFLOP/s of the aggregation beside the best matrix product. GEMM shapes are timed in the pauses between key blocks."""
    n, m = (4096, 65536) if quick else (20_000, 200_000)
    queries, keys = unit_rows(n, 1), unit_rows(m, 2)
    shapes = [
        (2048, 512, 2048),
        (1024, 512, 2048),
        (1024, 2048, 512),
        (4096, 512, 1024),
        (16384, 512, 1024),
    ]
    laid_out = "oneDNN, right side laid out beforehand"  # as the aggregation has it
    kinds = {
        "torch.mm": lambda left, right: torch.mm(left, right.T),
        "oneDNN": module.product,
        laid_out: module.product,
    }
    work = {
        (kind, *shape): (call, torch.randn(shape[0], shape[1]), torch.randn(shape[2], shape[1]))
        for shape in shapes
        for kind, call in kinds.items()
    }
    for name, (call, left, right) in work.items():
        work[name] = call, left, module.packed(right, len(left)) if name[0] == laid_out else right

    def gemm(name, flop=1e10):
        call, left, right = work[name]
        calls = max(1, round(flop / (2 * left.numel() * len(right))))
        return (
            calls
            * 2
            * left.numel()
            * len(right)
            / seconds(lambda: [call(left, right) for _ in range(calls)])
            / 1e9
        )

    ours = lambda progress: aggregate(queries, keys, keys, TAU, device="cpu", progress=progress)  # noqa: E731
    aggregate(
        queries, keys[:8192], keys[:8192], TAU, device="cpu"
    )  # wake the threads, touch the memory
    best = lambda kind: max(gemm(name) for name in work if name[0] == kind)  # noqa: E731; of all shapes, each time

    beside, own, begin = {kind: [best(kind)] for kind in kinds}, [], [time.perf_counter(), 0]

    def pause(done, total):
        took = time.perf_counter() - begin[0]
        own.append(((done - begin[1]) * 4 * DIM / 1e9, took))
        for kind in kinds:
            beside[kind].append(best(kind))
        begin[:] = time.perf_counter(), done

    ours(pause)
    reached, rows = sum(flop for flop, _ in own) / sum(took for _, took in own), []
    for kind, found in beside.items():
        around = [(before + after) / 2 for before, after in zip(found, found[1:])]
        ratios = [flop / took / other for (flop, took), other in zip(own, around)]
        print(f"  against {kind}, per pause: {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
        rows.append(
            row(
                f"{n} x {m} x {DIM}, whole run against the best sgemm of {kind} over {len(shapes)} shapes",
                reached,
                "GFLOP/s",
                statistics.median(found),
                reached / statistics.median(found),
            )
        )
        rows.append(
            row(
                f"{n} x {m} x {DIM}, median of {len(own)} alternations with the best sgemm of {kind} over {len(shapes)} shapes",
                statistics.median(flop / took for flop, took in own),
                "GFLOP/s",
                statistics.median(around),
                statistics.median(ratios),
            )
        )
    return rows


def plain_softmax(queries, keys, values):
    return torch.nn.functional.normalize(torch.softmax(queries @ keys.T / TAU, dim=1) @ values)


def plain(quick, folder):
    """Against the three-line version that holds the whole matrix, where that fits."""
    rows = []
    for n, m in [(1000, 10_000), (2000, 20_000)] + (
        [] if quick else [(4000, 50_000), (8000, 30_000), (500, 400_000)]
    ):
        queries, keys = unit_rows(n, 1), unit_rows(m, 2)
        theirs, ours = (
            lambda: plain_softmax(queries, keys, keys),
            lambda: aggregate(queries, keys, keys, TAU, device="cpu"),
        )
        theirs(), ours()
        pairs = [(seconds(theirs), seconds(ours)) for _ in range(3)]
        rows.append(
            row(
                f"{n} x {m} x {DIM}, against the full matrix",
                statistics.median(o for _, o in pairs),
                "s",
                statistics.median(t for t, _ in pairs),
                statistics.median(t / o for t, o in pairs),
            )
        )
    return rows


def faiss_topk(quick, folder):
    """Against the exact inner-product index of FAISS: our top k, and the whole softmax."""
    try:
        import faiss
    except ImportError:
        print("  FAISS is not installed (pip install faiss-cpu): nothing is compared or recorded")
        return []
    faiss.omp_set_num_threads(torch.get_num_threads())
    n, m = (1000, 50_000) if quick else (2048, 200_000)
    queries, keys = unit_rows(n, 1), unit_rows(m, 2)
    index, rows = faiss.IndexFlatIP(DIM), []
    index.add(keys.numpy())
    for k in (10, 100):
        theirs, ours = (
            lambda: index.search(queries.numpy(), k),
            lambda: topk(queries, keys, k, device="cpu"),
        )
        assert np.abs(theirs()[0] - ours().scores.numpy()).max() < 1e-5
        pairs = [(seconds(theirs), seconds(ours)) for _ in range(3)]
        rows.append(
            row(
                f"top {k} of {n} x {m} x {DIM}, against FAISS {faiss.__version__} IndexFlatIP",
                statistics.median(o for _, o in pairs),
                "s",
                statistics.median(t for t, _ in pairs),
                statistics.median(t / o for t, o in pairs),
            )
        )
    pairs = [
        (seconds(theirs), seconds(lambda: aggregate(queries, keys, keys, TAU, device="cpu")))
        for _ in range(3)
    ]
    return rows + [
        row(
            f"softmax over all {m} keys, {n} queries, against FAISS top 100",
            statistics.median(o for _, o in pairs),
            "s",
            statistics.median(t for t, _ in pairs),
            statistics.median(t / o for t, o in pairs),
        )
    ]


def write_bank(path, m):
    bank = np.lib.format.open_memmap(path, "w+", np.float32, (m, DIM))
    for first in range(0, m, 100_000):
        part = unit_rows(min(100_000, m - first), 100 + first)
        bank[first : first + len(part)] = part.numpy()
    bank.flush()


def anonymous_memory():
    """Private memory of this process in bytes. Pages of the mapped bank belong to the page cache and are not counted."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def anonymous_peak(call):
    """Peak of RssAnon in bytes, sampled every 5 ms, above its value before the call; then the seconds it took."""
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


def measure_memory(path, m, n):
    """In a process of its own."""
    keys, queries = np.load(path, mmap_mode="r")[:m], unit_rows(n, 1).numpy()
    aggregate(queries[:64], keys[:512], keys[:512], TAU, device="cpu")
    print(*anonymous_peak(lambda: aggregate(queries, keys, keys, TAU, device="cpu")))


def memory(quick, folder):
    """Peak memory against the number of keys, bank on disk."""
    sizes, rows, peaks = (
        ([50_000, 200_000] if quick else [100_000, 300_000, 1_000_000, 2_000_000]),
        [],
        [],
    )
    path = bank_on_disk(folder, sizes[-1])
    for m in sizes:
        out = subprocess.run(
            [sys.executable, __file__, "--measure", path, str(m), "256"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        peaks.append(float(out[0]) / 1e9)
        rows.append(
            row(
                f"peak private memory, 256 queries, {m} keys on disk ({m * DIM * 4 / 1e9:.1f} GB)",
                peaks[-1],
                "GB",
                peaks[0],
                peaks[-1] / peaks[0],
            )
        )
    return rows + [
        row(
            f"spread of peak memory from {sizes[0]} to {sizes[-1]} keys (claim: within 1 GB)",
            max(peaks) - min(peaks),
            "GB",
        )
    ]


def bank_on_disk(folder, m):
    path = Path(folder) / "bank.npy"
    if not path.exists():
        write_bank(path, m)
    return str(path)


def growth(quick, folder):
    """Seconds against N and against M over three decades, in ascending rounds; the best of the rounds is fitted."""
    top = 200_000 if quick else 2_000_000
    keys, queries = np.load(bank_on_disk(folder, top), mmap_mode="r"), unit_rows(top // 4, 1)
    base_m, base_n = 2048, 512
    sizes_n, sizes_m = [
        [int(end * 10 ** (-i / 2)) for i in range(6, -1, -1)] for end in (len(queries), top)
    ]
    few = torch.from_numpy(np.array(keys[:base_m]))
    calls = {
        "N": lambda n: aggregate(queries[:n], few, few, TAU, device="cpu"),
        "M": lambda m: aggregate(queries[:base_n], keys[:m], keys[:m], TAU, device="cpu"),
    }
    curves, rows = {"N": (sizes_n, []), "M": (sizes_m, [])}, []
    for name, (sizes, times) in curves.items():
        calls[name](sizes[0])
        for size in sizes:
            times.append(
                min(seconds(lambda: calls[name](size)) for _ in range(7 if size < sizes[-3] else 2))
            )
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        fixed = f"{base_m} keys" if name == "N" else f"{base_n} queries"
        rows.append(
            row(
                f"log-log slope in {name}, {sizes[0]} to {sizes[-1]}, {fixed} (claim: 1.00 +- 0.05)",
                float(slope),
                "",
                1.0,
                float(slope),
            )
        )
    if not quick:
        draw(curves, rows)
    return rows


def draw(curves, rows):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True)
    for axis, (name, (sizes, times)), found in zip(axes, curves.items(), rows):
        axis.loglog(sizes, times, "o-", label=f"measured, slope {float(found['value']):.2f}")
        axis.loglog(
            sizes, np.array(sizes) * times[-1] / sizes[-1], "--", color="gray", label="slope 1"
        )
        axis.set(
            xlabel={
                "N": "number of queries N (2048 keys)",
                "M": "number of keys M on disk (512 queries)",
            }[name]
        )
        axis.legend(frameon=False)
    axes[0].set_ylabel("time (s)")
    figure.suptitle(f"Time of the aggregation of {DIM}-d vectors against queries and against keys")
    figure.tight_layout()
    figure.savefig(record.FIGURES["growth"], dpi=90)


def gpu(quick, folder, device="cuda", million=1_000_000, slice_=131_072):
    """The three centers at the paper's size: a slice of the queries against whole banks, scaled to all queries."""
    if device == "cuda" and not torch.cuda.is_available():
        print("  no GPU: skipped")
        return []
    banks = {
        size: unit_rows(int(size * million), int(size * 100), device)
        for size in (TEXT, SOUND, IMAGE)
    }
    other, rows = unit_rows(int(TEXT * million), 7, device), []
    for precision in ("float32", "tf32") if device == "cuda" else ("float32",):
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        a, out = unit_rows(8192, 1, device), torch.empty(8192, 8192, device=device)
        torch.mm(a, a.T, out=out)
        gemm = (
            2
            * 8192**2
            * DIM
            / min(seconds(lambda: torch.mm(a, a.T, out=out)) for _ in range(10))
            / 1e12
        )
        torch.set_float32_matmul_precision("highest")
        for center, steps in PAPER.items():
            hours, flops = 0.0, 0.0
            for n, m, count in steps:
                queries, values = (
                    banks[n][: slice_ // (4 if quick else 1)],
                    [banks[m], other][:count],
                )
                took = min(
                    seconds(
                        lambda: aggregate(
                            queries, banks[m], values, TAU, device=device, precision=precision
                        )
                    )
                    for _ in range(2)
                )
                hours += took * n * million / len(queries)
                flops += 2 * n * m * million**2 * DIM * (1 + count)
            rows.append(
                row(
                    f"{center} at paper scale, {precision} ({hours:.0f} s), against GEMM",
                    flops / hours / 1e12,
                    "TFLOP/s",
                    gemm,
                    flops / hours / 1e12 / gemm,
                )
            )
    return rows


PARTS = {
    "rate": rate,
    "plain": plain,
    "faiss": faiss_topk,
    "memory": memory,
    "growth": growth,
    "gpu": gpu,
}

if __name__ == "__main__":
    record.run("aggregate", __doc__, PARTS, measure_memory)
