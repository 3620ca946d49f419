"""How fast the projectors train, against the loop that one writes first.

    python benchmarks/train.py                 both parts, recorded in results.csv and RESULTS.md (about 7 minutes without a GPU)
    python benchmarks/train.py --only cpu      or gpu
    python benchmarks/train.py --quick         fewer rounds, printed only

That loop is benchmarks/eager.py."""

import copy
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import eager
import record
import torch
from aggregate import row, unit_rows

from exmcr.kernels.layers import TrainingLayers, product
from exmcr.pairing import pairs
from exmcr.training import loop as training
from exmcr.training.projectors import Projector

MINI = {
    "batch": 512,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "lambda": 1.0,
    "tau2": 0.05,
    "noise": 0.004,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
}
PAPER = MINI | {"batch": 4096, "lambda": 0.1}
PAPER_POOL, PAPER_EPOCHS = 5_500_000, 24


def timed(loop, pool, settings, steps):
    """Milliseconds per step: a run of this many steps less a run of a tenth, so that starting up is not counted."""
    took = []
    for count in (steps // 10, steps):
        torch.manual_seed(0)
        projector = Projector()
        if pool["x_leaf"].device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        loop(projector, pool, settings | {"steps": count}, 0)
        if pool["x_leaf"].device.type == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    return (took[1] - took[0]) / (steps - steps // 10) * 1e3


def ours(projector, pool, settings, seed):
    return training.train(
        projector, pool, settings, seed, progress=False, device=pool["x_leaf"].device
    )


def mini_pool():
    return {part: unit_rows(10_240, number) for number, part in enumerate(pairs.PARTS)}


def mini(loop, steps):
    """Milliseconds per step of the mini profile on the CPU, after as many steps that only warm up: a process that touches its
    memory for the first time can be slow for seconds."""
    pool = mini_pool()
    timed(loop, pool, MINI, steps)
    return timed(loop, pool, MINI, steps)


def shapes(batch):
    """(rows, inner, columns) of every product of a step of the mini profile, forward and backward."""
    both = 2 * batch
    linear = [(both, 512, 1024), (both, 1024, 512)] * 2
    back = [
        (m, k, n)
        for rows, into, out in linear
        for m, k, n in ((rows, out, into), (out, rows, into))
    ]
    back[0] = (batch, 1024, 512)  # the overlap half of what f_m reads is given
    return [
        (batch, 512, 512),
        (512, batch, 512),
        (both, 512, both),
        (both, both, 512),
        *linear,
        *back,
    ]


def cpu(quick, folder):
    """Steps of the mini profile (512-d, batch 512) on the CPU, beside the eager loop and beside the products of a step alone."""
    steps, rounds = (20, 2) if quick else (80, 9)
    operands = [(torch.randn(m, k), torch.randn(n, k)) for m, k, n in shapes(MINI["batch"])]
    flop = sum(2 * m * k * n for m, k, n in shapes(MINI["batch"]))

    def alone(call):
        start = time.perf_counter()
        for left, right in operands * 5:
            call(left, right)
        return (time.perf_counter() - start) / 5 * 1e3

    alone(product)
    floors = [(alone(product), alone(lambda a, b: a @ b.T)) for _ in range(rounds)]
    # A process for each run, since ours changes how memory is freed, of which the eager loop would profit too.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as fresh:
        apart = lambda loop: fresh.submit(mini, loop, steps).result()  # noqa: E731
        found = [(apart(eager.train), apart(ours)) for _ in range(rounds)]
    plain, fast, floor, floor_mm = (
        statistics.median(column) for column in (*zip(*found), *zip(*floors))
    )
    ratios, share = [p / f for p, f in found], floor / fast
    rows = [
        row(
            "mini profile, steps per second against the eager loop (claim: 2 times)",
            1e3 / fast,
            "steps/s",
            1e3 / plain,
            statistics.median(ratios),
        ),
        row(
            f"mini profile, that ratio in the worst and in the best of {rounds} rounds",
            min(ratios),
            "times",
            max(ratios),
            min(ratios) / max(ratios),
        ),
        row(
            f"mini profile, ms per step against its {flop / 1e9:.1f} GFLOP of products alone by oneDNN",
            fast,
            "ms",
            floor,
            share,
        ),
        row(
            "mini profile, products of a step alone, oneDNN against torch.mm",
            floor,
            "ms",
            floor_mm,
            floor_mm / floor,
        ),
    ]

    # The same losses: at every step of a run of ours, what the eager objective says of the same weights and the same batch.
    seen = []

    def watched(projector, batch, settings):
        seen.append((copy.deepcopy(projector), batch))
        return training.ex_mcr_loss(projector, batch, settings)

    training.train(
        Projector(),
        mini_pool(),
        MINI | {"steps": 20},
        0,
        loss=watched,
        progress=False,
        device=torch.device("cpu"),
    )
    worst = 0.0
    for projector, batch in seen:
        with torch.no_grad():
            theirs = eager.loss(copy.deepcopy(projector), batch, MINI)["total"]
            with TrainingLayers():
                worst = max(
                    worst,
                    abs(float(theirs - training.ex_mcr_loss(projector, batch, MINI)["total"])),
                )
    return rows + [
        row(
            "mini profile, largest difference of a loss from the eager objective at the same weights and batch (claim: 1e-5)",
            worst,
            "",
            1e-5,
            worst / 1e-5,
        )
    ]


def gpu(quick, folder):
    """One projector at the paper's scale: 5.5 million quadruples, batch 4096, 24 epochs; and the mini batch, where launches rule."""
    if not torch.cuda.is_available():
        print("  no GPU: skipped")
        return []
    rows = []
    for name, settings, n in (
        ("mini profile", MINI, 20_000),
        ("paper scale", PAPER, PAPER_POOL // (10 if quick else 1)),
    ):
        pool = {part: unit_rows(n, number, "cuda") for number, part in enumerate(pairs.PARTS)}
        steps, rounds = (100, 1) if quick else (400, 3)
        found = [
            (timed(eager.train, pool, settings, steps // 2), timed(ours, pool, settings, steps))
            for _ in range(rounds)
        ]
        plain, fast = (statistics.median(column) for column in zip(*found))
        rows.append(
            row(
                f"{name} (batch {settings['batch']}) on the GPU, steps per second against the eager loop (claim: 5 times)",
                1e3 / fast,
                "steps/s",
                1e3 / plain,
                statistics.median(p / f for p, f in found),
            )
        )
        if settings is PAPER:
            total = PAPER_POOL // PAPER["batch"] * PAPER_EPOCHS
            rows.append(
                row(
                    f"one projector at paper scale, {total} steps at the measured rate (claim: under 300 s)",
                    total * fast / 1e3,
                    "s",
                    total * plain / 1e3,
                    plain / fast,
                )
            )
        del pool
        torch.cuda.empty_cache()
    return rows


PARTS = {"cpu": cpu, "gpu": gpu}


if __name__ == "__main__":
    record.run("train", __doc__, PARTS)
