"""Training at the scale of the paper, with and without each of its parts."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial

import eager
import torch
from gpu_setup import Setup, each, patched, repeated
from timing import row, seconds, unit_rows
from train import MINI, PAPER, shapes

from exmcr import kernels
from exmcr.kernels import gpu
from exmcr.kernels.tiles import matmul_precision
from exmcr.pairing.pools import PARTS
from exmcr.training import loop

Pool = dict[str, torch.Tensor]
POOL = 1_500_000  # quadruples on the host
PAPER_POOL, EPOCHS = 5_500_000, (24, 36)  # of arXiv:2310.08884: the unions of the three centers
FED = 2**60  # bytes to spare: no pool fits the device


class InLine(gpu.Feed):
    """A feed that gathers and copies a batch when the step needs it, without a second stream."""

    def _ahead(self, batches, side):
        for rows in batches:
            yield {
                name: part.index_select(0, rows).to(self.device) for name, part in self.pool.items()
            }


def ours(device: torch.device, projector, pool: Pool, settings: dict) -> None:
    loop.train(projector, pool, settings, 0, progress=False, device=device)


def plain_loop(device: torch.device, projector, pool: Pool, settings: dict) -> None:
    eager.train(projector, pool, settings, 0)


def without_graph() -> AbstractContextManager:
    return patched(loop, Graph=lambda step, generator: step)


def fed() -> AbstractContextManager:
    return patched(gpu, SPARE=FED)


def variants() -> dict[str, tuple[Callable, list[Callable[[], AbstractContextManager]], bool]]:
    """{name: (loop, switches, whether the pool is on the host)}."""
    tf32 = partial(matmul_precision, "tf32")
    return {
        "eager": (plain_loop, [], False),
        "eager, TF32": (plain_loop, [tf32], False),
        "plain code": (ours, [kernels.plain], False),
        "no graph": (ours, [without_graph], False),
        "two-stream feed, no graph": (ours, [fed, without_graph], True),
        "graph": (ours, [], False),
        "two-stream feed": (ours, [fed], True),
        "in-line feed": (ours, [fed, partial(patched, loop, Feed=InLine)], True),
    }


class Timer:
    """Seconds per step of variants, by name.

    setup, pools   pools on the device and on the host
    errors         those of variants that failed; their times are missing
    """

    def __init__(self, setup: Setup, pools: tuple[Pool, Pool]):
        self.setup, self.pools = setup, pools
        self.errors: list[Exception] = []

    def __call__(self, settings: dict, names: list[str]) -> dict[str, float]:
        """A long run minus a short one, so that the start is not counted; median over rounds in
        which the variants alternate."""
        few, many, rounds = (1, 2, 1) if self.setup.dry else (40, 300, 3)
        times: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds + 1):
            for name in list(times):
                try:
                    start = self._seconds(name, settings, few)
                    if number:  # the first round warms up
                        took = self._seconds(name, settings, many) - start
                        times[name].append(max(1e-9, took / (many - few)))
                except Exception as error:
                    error.add_note(f"in the variant {name!r}, batch {settings['batch']}")
                    self.errors.append(error)
                    del times[name]
        return {name: statistics.median(values) for name, values in times.items()}

    def _seconds(self, name: str, settings: dict, steps: int) -> float:
        train, switches, on_host = variants()[name]
        projector, run = self.setup.projector(), settings | {"steps": steps}
        with ExitStack() as stack:
            for switch in switches:
                if not self.setup.dry or switch is kernels.plain:
                    stack.enter_context(switch())
            return seconds(train, self.setup.device, projector, self.pools[int(on_host)], run)


def train(setup: Setup) -> Iterator[dict]:
    """One projector (512 dimensions, hidden 1024). Paper scale: batch 4096 from 1.5 million
    quadruples; our loop in TF32 with the pool on the device and on the host, against the loop of
    benchmarks/eager.py in float32 and TF32 with the pool on the device. Mini profile: batch 512,
    where launches dominate."""
    device, n = setup.device, setup.size(POOL, 64)
    pool = {part: unit_rows(n, number, str(device)) for number, part in enumerate(PARTS)}
    host = {part: e.cpu() for part, e in pool.items()}
    measure = Timer(setup, (pool, host))
    mini = MINI | {"batch": setup.size(512, 16)}
    names = ["eager", "eager, TF32", "no graph", "graph"]
    yield from _rates(f"mini profile (batch {mini['batch']})", measure(mini, names))
    paper = PAPER | {"batch": setup.size(4096, 32)}
    times = measure(paper, list(variants()))
    yield from _rates(f"paper scale (batch {paper['batch']})", times)
    took = seconds(gpu.Feed, host, device)
    size = sum(part.nbytes for part in host.values()) / 1e9
    yield row(f"copy of a pool of {size:.1f} GB to the device, once", took, "s")
    yield from each(_paper(paper["batch"], times), _floor(setup, paper["batch"], times))
    if measure.errors:
        raise ExceptionGroup("some variants failed", measure.errors)


def _paper(batch: int, times: dict[str, float]) -> Iterator[dict]:
    """A projector of the paper at the measured rates."""
    for epochs in EPOCHS:
        steps = PAPER_POOL // batch * epochs
        for name in ("two-stream feed", "graph"):
            if name in times and "eager" in times:
                claim = f"{epochs} epochs of {PAPER_POOL} quadruples, {name} against eager"
                fast, slow = (steps * times[kind] / 60 for kind in (name, "eager"))
                yield row(claim, fast, "min", slow, slow / fast)


PAIRS = [  # (variant, baseline)
    ("graph", "eager"),
    ("graph", "eager, TF32"),
    ("graph", "no graph"),
    ("no graph", "plain code"),
    ("two-stream feed", "in-line feed"),
    ("two-stream feed", "two-stream feed, no graph"),
    ("two-stream feed", "graph"),
    ("two-stream feed", "eager, TF32"),
]


def _rates(profile: str, times: dict[str, float]) -> Iterator[dict]:
    for name, baseline in PAIRS:
        if name in times and baseline in times:
            fast, slow = times[name], times[baseline]
            claim = f"{profile}, {name} against {baseline}"
            yield row(claim, 1 / fast, "steps/s", 1 / slow, slow / fast)


def _floor(setup: Setup, batch: int, times: dict[str, float]) -> Iterator[dict]:
    """A step against its matrix products alone."""
    if "graph" not in times:
        return
    pairs = [
        (torch.randn(m, k, device=setup.device), torch.randn(k, n, device=setup.device))
        for m, k, n in shapes(batch)
    ]

    def products() -> None:
        for left, right in pairs:
            torch.mm(left, right)

    with matmul_precision(setup.precisions[-1]):
        floor = repeated(products, 5, setup.rounds(5))
    tera = sum(2 * m * k * n for m, k, n in shapes(batch)) / 1e12
    claim = f"a step with a graph against its {tera:.2g} TFLOP of products alone"
    yield row(claim, times["graph"] * 1e3, "ms", floor * 1e3, floor / times["graph"])
