"""The rates of the card; aggregation and search over a million keys."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from gpu_setup import Setup, compared, each, repeated, typical
from timing import DIM, row, seconds, unit_rows
from torch.nn.functional import normalize

from exmcr.kernels.aggregate import aggregate
from exmcr.kernels.search import topk
from exmcr.kernels.tiles import CUDA_TILE, matmul_precision

TAU = 0.01
QUERIES, KEYS, MORE_KEYS = 200_000, 1_000_000, 1_300_000
# The pools of arXiv:2310.08884 in millions, and per center (queries, keys, value banks) of the
# overlap, leaf and base queries.
TEXT, SOUND, IMAGE = 2.33, 1.9, 1.28
PAPER = {
    "text-centric": [(TEXT, SOUND, 1), (TEXT, IMAGE, 1)],
    "audio-centric": [(SOUND, TEXT, 2), (SOUND, IMAGE, 1)],
    "image-centric": [(IMAGE, TEXT, 2), (IMAGE, SOUND, 1)],
}
CHUNK = 2048  # queries per chunk of the plain version: 8 GB of scores against a million keys
PASSES = 8  # of the aggregation over the scores in memory, the two products included


def tile_of(setup: Setup) -> tuple[int, int]:
    """(queries, keys) of a tile of the kernels on a GPU, at this scale."""
    return setup.size(CUDA_TILE[0], 64), setup.size(CUDA_TILE[1], 64)


def product_rate(setup: Setup, n: int, k: int, m: int, precision: str) -> float:
    """TFLOP/s of the product of random matrices (n, k) and (k, m)."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left, right = (torch.randn(rows, k, device=setup.device, dtype=dtype) for rows in (n, m))
    out = torch.empty(n, m, device=setup.device, dtype=dtype)
    with matmul_precision("tf32" if precision == "tf32" else "float32"):
        took = repeated(lambda: torch.mm(left, right.T, out=out), 10, setup.rounds(5))
    return 2 * n * k * m / took / 1e12


def copy_rate(setup: Setup) -> float:
    """TB/s of a copy inside the memory of the device, bytes read plus bytes written."""
    source = torch.randn(setup.size(2**30, 2**16), device=setup.device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / repeated(lambda: target.copy_(source), 5, setup.rounds(5)) / 1e12


def host_rate(setup: Setup, pinned: bool) -> float:
    """GB/s from the host to the device."""
    source = torch.empty(setup.size(2**28, 2**16), pin_memory=pinned and not setup.dry).normal_()
    target = torch.empty_like(source, device=setup.device)
    return source.nbytes / repeated(lambda: target.copy_(source), 3, setup.rounds(3)) / 1e9


def card(setup: Setup) -> Iterator[dict]:
    """The ceilings that the other sections are held against: matrix products on random data, and
    copies inside the device's memory and from the host."""
    n, (queries, keys) = setup.size(8192, 64), tile_of(setup)
    for precision in (*setup.precisions, "bfloat16"):
        cube = product_rate(setup, n, n, n, precision)
        yield row(f"product of {n} x {n} matrices, {precision}", cube, "TFLOP/s")
        tile = product_rate(setup, queries, DIM, keys, precision)
        claim = f"product of a tile, {queries} x {DIM} by {DIM} x {keys}, {precision}"
        yield row(f"{claim}, against {n} x {n}", tile, "TFLOP/s", cube, tile / cube)
    yield row("copy inside the device's memory, read plus written", copy_rate(setup), "TB/s")
    pinned, pageable = host_rate(setup, True), host_rate(setup, False)
    claim = "copy from the host, pinned memory against ordinary memory"
    yield row(claim, pinned, "GB/s", pageable, pinned / pageable)


def aggregation_in_chunks(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """The plain formula (exmcr.pairing.aggregation) on CHUNK queries at a time."""
    parts = [
        normalize(torch.softmax(part @ keys.T / TAU, dim=1) @ keys, dim=1)
        for part in queries.split(CHUNK)
    ]
    return torch.cat(parts).cpu()


def aggregation(setup: Setup) -> Iterator[dict]:
    """Softmax aggregation of 200,000 queries over 1.0 and 1.3 million keys of 512 dimensions: the
    kernel against chunks of torch.mm and softmax, against the card's rate for the product of a
    tile, and against a model of its own passes over memory. Times include the copy of the result
    to the host."""
    m, more = setup.size(KEYS, 128), setup.size(MORE_KEYS, 160)
    queries = unit_rows(setup.size(QUERIES, 32), 1, str(setup.device))
    bank = unit_rows(more, 2, str(setup.device))
    rates: dict[str, float] = {}

    def kernel(keys, precision, queries=queries):
        options: dict[str, Any] = {"device": setup.device, "precision": precision}
        return aggregate(queries, keys, keys, TAU, **options).values[0]

    yield from each(
        *(_rate(setup, kernel, queries, bank[:m], p, rates) for p in setup.precisions),
        _larger(setup, kernel, bank, m, setup.precisions[-1]),
        _paper(rates),
    )


def _rate(
    setup: Setup,
    kernel: Callable,
    queries: torch.Tensor,
    keys: torch.Tensor,
    precision: str,
    rates: dict[str, float],
) -> Iterator[dict]:
    """The kernel in one precision; stores its FLOP/s in `rates`."""
    n, m, rounds = len(queries), len(keys), setup.rounds(2 if precision == "tf32" else 1)
    size, few = f"{n} x {m} x {DIM}, {precision}", queries[:CHUNK]
    with matmul_precision(precision):
        difference = kernel(keys, precision, few) - aggregation_in_chunks(few, keys)
        slow = typical(lambda: aggregation_in_chunks(queries, keys), rounds)
    fast = typical(lambda: kernel(keys, precision), rounds)
    yield row(f"{size}, against chunks of torch.mm and softmax", fast, "s", slow, slow / fast)
    yield compared(f"{size}, largest difference from the chunks", float(difference.abs().max()))
    tile_rows, tile_keys = tile_of(setup)
    gemm = product_rate(setup, tile_rows, DIM, tile_keys, precision) * 1e12
    flop = 4.0 * n * m * DIM
    rates[precision] = flop / fast
    claim = f"{size}, against the product of a tile"
    yield row(claim, flop / fast / 1e12, "TFLOP/s", gemm / 1e12, flop / fast / gemm)
    model = flop / gemm + PASSES * 4.0 * n * m / (copy_rate(setup) * 1e12)
    claim = f"{size}, against its products plus {PASSES} passes over the scores"
    yield row(claim, fast, "s", model, model / fast)


def _larger(
    setup: Setup, kernel: Callable, bank: torch.Tensor, m: int, precision: str
) -> Iterator[dict]:
    """More keys, and a bank in the memory of the host."""
    base = typical(lambda: kernel(bank[:m], precision), 1)
    took = typical(lambda: kernel(bank, precision), setup.rounds(2))
    claim = f"{len(bank)} against {m} keys, {precision}"
    yield row(claim, took, "s", base * len(bank) / m, base * len(bank) / m / took)
    host = bank[:m].cpu().numpy()
    kernel(host[: m // 10], precision)
    took = typical(lambda: kernel(host, precision), 1)
    claim = f"bank of {m} keys on the host against on the device, {precision}"
    yield row(claim, took, "s", base, base / took)


def _paper(rates: dict[str, float]) -> Iterator[dict]:
    """All centers of the paper at the measured rates."""
    for center, steps in PAPER.items():
        flop = sum(2e12 * n * m * DIM * (1 + banks) for n, m, banks in steps)
        for precision, rate in rates.items():
            claim = f"{center} pairs of the paper at the measured rate, {precision}"
            yield row(claim, flop / rate / 60, "min")


def search_in_chunks(queries: torch.Tensor, keys: torch.Tensor, k: int) -> torch.Tensor:
    """Scores (n, k) of the nearest keys, CHUNK queries at a time."""
    return torch.cat([(part @ keys.T).topk(k, dim=1).values for part in queries.split(CHUNK)]).cpu()


def search(setup: Setup) -> Iterator[dict]:
    """Exact top k over a million vectors on the device: 10,000 queries at once against chunks of
    torch.mm and topk, and one query at a time."""
    n, m = setup.size(10_000, 32), setup.size(KEYS, 256)
    queries, keys = (unit_rows(count, count, str(setup.device)) for count in (n, m))
    for precision in setup.precisions:
        for k in (10, 100):

            def ours(count=n, k=k, precision=precision):
                return topk(queries[:count], keys, k, device=setup.device, precision=precision)

            def chunks(k=k):
                return search_in_chunks(queries, keys, k)

            with matmul_precision(precision):
                worst = float((ours().scores - chunks()).abs().max())
                slow = typical(chunks, setup.rounds(3))
            fast = typical(ours, setup.rounds(3))
            size = f"top {k} of {n} x {m} x {DIM}, {precision}"
            yield row(f"{size}, against chunks of torch.mm and topk", fast, "s", slow, slow / fast)
            yield row(f"{size}, largest difference of a score from the chunks", worst, "")
    ours(1, 10)
    one = min(seconds(ours, 1, 10) for _ in range(setup.rounds(5)))
    yield row(f"top 10 of one query among {m} vectors on the device", one * 1e3, "ms")
