"""Speed, memory and scaling of the streamed aggregation.

python benchmarks/aggregate.py          all parts (about 8 minutes), recorded one by one in
                                        results.csv, RESULTS.md and growth.png
python benchmarks/aggregate.py --quick  smaller sizes, printed only
python benchmarks/aggregate.py --only rate plain
"""

import statistics
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import record
import torch
from timing import DIM, against, anonymous_peak, bank_on_disk, row, seconds, unit_rows

from exmcr.kernels.aggregate import aggregate
from exmcr.kernels.layers import packed, product
from exmcr.kernels.search import topk
from exmcr.pairing.aggregation import softmax_aggregation

TAU = 0.01
SHAPES = [  # (rows, inner dimension, columns) of the GEMMs that `rate` compares with
    (2048, 512, 2048),
    (1024, 512, 2048),
    (1024, 2048, 512),
    (4096, 512, 1024),
    (16384, 512, 1024),
]
PACKED = "oneDNN, right side laid out beforehand"  # as in the aggregation


def gemms():
    """{kind of product: (product, operands of each of SHAPES)}."""
    pairs = [(torch.randn(n, k), torch.randn(m, k)) for n, k, m in SHAPES]
    return {
        "torch.mm": (lambda left, right: torch.mm(left, right.T), pairs),
        "oneDNN": (product, pairs),
        PACKED: (product, [(left, packed(right, len(left))) for left, right in pairs]),
    }


def best_gemm(call, pairs):
    """GFLOP/s at the fastest of SHAPES."""
    rates = []
    for (n, k, m), pair in zip(SHAPES, pairs):
        flop = 2 * n * k * m
        calls = max(1, round(1e10 / flop))
        rates.append(calls * flop / seconds(repeat, call, pair, calls) / 1e9)
    return max(rates)


def repeat(call, arguments, times):
    for _ in range(times):
        call(*arguments)


def rate(quick, folder):
    """GFLOP/s of the aggregation beside the best matrix product. GEMM shapes are timed in the
    pauses between key blocks."""
    n, m = (4096, 65536) if quick else (20_000, 200_000)
    queries, keys = unit_rows(n, 1), unit_rows(m, 2)
    few = keys[:8192]
    aggregate(queries, few, few, TAU, device="cpu")  # starts the threads, touches the memory
    kinds = gemms()
    measured = {kind: [best_gemm(*work)] for kind, work in kinds.items()}
    blocks: list[tuple[float, float]] = []  # GFLOP, seconds
    start, before = time.perf_counter(), 0

    def pause(done, total):
        nonlocal start, before
        took = time.perf_counter() - start
        blocks.append(((done - before) * 4 * DIM / 1e9, took))
        for kind, work in kinds.items():
            measured[kind].append(best_gemm(*work))
        start, before = time.perf_counter(), done

    aggregate(queries, keys, keys, TAU, device="cpu", progress=pause)
    whole, rows = sum(flop for flop, _ in blocks) / sum(took for _, took in blocks), []
    for kind, rates in measured.items():
        around = [(one + other) / 2 for one, other in pairwise(rates)]
        ratios = [flop / took / gemm for (flop, took), gemm in zip(blocks, around)]
        print(f"  against {kind}, per pause: {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
        size, shapes = f"{n} x {m} x {DIM}", f"{kind} over {len(SHAPES)} shapes"
        best = statistics.median(rates)
        rows.append(
            row(
                f"{size}, whole run against the best sgemm of {shapes}",
                whole,
                "GFLOP/s",
                best,
                whole / best,
            )
        )
        rows.append(
            row(
                f"{size}, median of {len(blocks)} alternations with the best sgemm of {shapes}",
                statistics.median(flop / took for flop, took in blocks),
                "GFLOP/s",
                statistics.median(around),
                statistics.median(ratios),
            )
        )
    return rows


def plain(quick, folder):
    """Against the plain form that holds the whole matrix, where that fits."""
    sizes = [(1000, 10_000), (2000, 20_000)]
    if not quick:
        sizes += [(4000, 50_000), (8000, 30_000), (500, 400_000)]
    return [against_plain(n, m) for n, m in sizes]


def against_plain(n, m):
    queries, keys = unit_rows(n, 1), unit_rows(m, 2)

    def whole():
        softmax_aggregation(queries, keys, keys, TAU)

    def tiles():
        aggregate(queries, keys, keys, TAU, device="cpu")

    whole(), tiles()
    return against(f"{n} x {m} x {DIM}, against the full matrix", tiles, whole)


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
    index = faiss.IndexFlatIP(DIM)
    index.add(keys.numpy())

    def theirs(k):
        return index.search(queries.numpy(), k)

    def ours(k):
        return topk(queries, keys, k, device="cpu")

    rows, name = [], f"FAISS {faiss.__version__} IndexFlatIP"
    for k in (10, 100):
        assert np.abs(theirs(k)[0] - ours(k).scores.numpy()).max() < 1e-5
        claim = f"top {k} of {n} x {m} x {DIM}, against {name}"
        rows.append(against(claim, lambda k=k: ours(k), lambda k=k: theirs(k)))
    claim = f"softmax over all {m} keys, {n} queries, against FAISS top 100"
    softmax = lambda: aggregate(queries, keys, keys, TAU, device="cpu")
    return [*rows, against(claim, softmax, lambda: theirs(100))]


def measure_memory(path, m, n):
    """Print peak private memory and seconds; runs in its own process."""
    keys, queries = np.load(path, mmap_mode="r")[:m], unit_rows(n, 1).numpy()
    aggregate(queries[:64], keys[:512], keys[:512], TAU, device="cpu")
    print(*anonymous_peak(lambda: aggregate(queries, keys, keys, TAU, device="cpu")))


def memory(quick, folder):
    """Peak memory against the number of keys, bank on disk."""
    sizes = [50_000, 200_000] if quick else [100_000, 300_000, 1_000_000, 2_000_000]
    rows, peaks = [], []
    path = bank_on_disk(folder, sizes[-1])
    for m in sizes:
        out = subprocess.run(
            [sys.executable, __file__, "--measure", path, str(m), "256"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        peaks.append(float(out[0]) / 1e9)
        size = f"{m} keys on disk ({m * DIM * 4 / 1e9:.1f} GB)"
        claim = f"peak private memory, 256 queries, {size}"
        rows.append(row(claim, peaks[-1], "GB", peaks[0], peaks[-1] / peaks[0]))
    claim = f"spread of peak memory from {sizes[0]} to {sizes[-1]} keys (claim: within 1 GB)"
    return [*rows, row(claim, max(peaks) - min(peaks), "GB")]


def growth(quick, folder):
    """Seconds against N and against M over three decades, in ascending rounds; the best of the
    rounds is fitted."""
    top, few_queries, few_keys = 200_000 if quick else 2_000_000, 512, 2048
    keys = np.load(bank_on_disk(folder, top), mmap_mode="r")
    queries, few = unit_rows(top // 4, 1), torch.from_numpy(np.array(keys[:few_keys]))

    def by_queries(n):
        aggregate(queries[:n], few, few, TAU, device="cpu")

    def by_keys(m):
        aggregate(queries[:few_queries], keys[:m], keys[:m], TAU, device="cpu")

    curves, rows = {}, []
    for name, call, end, fixed in (
        ("N", by_queries, len(queries), f"{few_keys} keys"),
        ("M", by_keys, top, f"{few_queries} queries"),
    ):
        sizes = [int(end * 10 ** (-i / 2)) for i in range(6, -1, -1)]
        call(sizes[0])
        rounds = [7 if size < sizes[-3] else 2 for size in sizes]
        times = [
            min(seconds(call, size) for _ in range(count)) for size, count in zip(sizes, rounds)
        ]
        slope = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
        span = f"{sizes[0]} to {sizes[-1]}, {fixed}"
        claim = f"log-log slope in {name}, {span} (claim: 1.00 +- 0.05)"
        rows.append(row(claim, slope, "", 1.0, slope))
        curves[name] = sizes, times, slope
    if not quick:
        draw(curves)
    return rows


def draw(curves):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    labels = {
        "N": "number of queries N (2048 keys)",
        "M": "number of keys M on disk (512 queries)",
    }
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True)
    for axis, (name, (sizes, times, slope)) in zip(axes, curves.items()):
        linear = np.array(sizes) * times[-1] / sizes[-1]
        axis.loglog(sizes, times, "o-", label=f"measured, slope {slope:.2f}")
        axis.loglog(sizes, linear, "--", color="gray", label="slope 1")
        axis.set(xlabel=labels[name])
        axis.legend(frameon=False)
    axes[0].set_ylabel("time (s)")
    figure.suptitle(f"Time of the aggregation of {DIM}-d vectors against queries and against keys")
    figure.tight_layout()
    figure.savefig(record.FIGURES["growth"], dpi=90)


PARTS = {
    "rate": rate,
    "plain": plain,
    "faiss": faiss_topk,
    "memory": memory,
    "growth": growth,
}

if __name__ == "__main__":
    record.run("aggregate", __doc__, PARTS, measure_memory)
