"""Training speed of the projectors, against the loop that one writes first (benchmarks/eager.py).

python benchmarks/train.py          recorded in results.csv and RESULTS.md (about 7 minutes)
python benchmarks/train.py --quick  fewer rounds, printed only

On a GPU: benchmarks/gpu.py.
"""

import copy
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import eager
import record
import torch
from timing import row, seconds, unit_rows

from exmcr.kernels.layers import TrainingLayers, product
from exmcr.pairing.pools import PARTS as QUADRUPLE
from exmcr.training import loop
from exmcr.training.objectives import exmcr_loss
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


def timed(train, pool, settings, steps):
    """Milliseconds per step: a run of this many steps minus a run of a tenth, so that the start is
    not counted."""
    few = steps // 10
    took = []
    for count in (few, steps):
        torch.manual_seed(0)
        took.append(seconds(train, Projector(), pool, settings | {"steps": count}, 0))
    return (took[1] - took[0]) / (steps - few) * 1e3


def ours(projector, pool, settings, seed):
    device = pool["x_leaf"].device
    return loop.train(projector, pool, settings, seed, progress=False, device=device)


def mini_pool():
    return {part: unit_rows(10_240, number) for number, part in enumerate(QUADRUPLE)}


def mini(train, steps):
    """Milliseconds per step of the mini profile on the CPU, after as many steps that only warm up:
    a process that touches its memory for the first time can be slow for seconds."""
    pool = mini_pool()
    timed(train, pool, MINI, steps)
    return timed(train, pool, MINI, steps)


def in_new_process(train, steps):
    """`mini` in its own process: our loop changes how memory is freed, which would also speed up
    the eager loop."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(mini, train, steps).result()


def shapes(batch):
    """(rows, inner dimension, columns) of every product of a step, forward and backward."""
    both = 2 * batch
    linear = [(both, 512, 1024), (both, 1024, 512)] * 2
    back = [
        (m, k, n)
        for rows, into, out in linear
        for m, k, n in ((rows, out, into), (out, rows, into))
    ]
    return [
        (batch, 512, 512),
        (512, batch, 512),
        (both, 512, both),
        (both, both, 512),
        *linear,
        *back,
    ]


def cpu(quick, folder):
    """Steps of the mini profile (512-d, batch 512) on the CPU, beside the eager loop and beside the
    products of a step alone."""
    steps, rounds = (20, 2) if quick else (80, 9)
    floors = products_alone(rounds)
    times = [
        (in_new_process(eager.train, steps), in_new_process(ours, steps)) for _ in range(rounds)
    ]
    slow, fast, floor, floor_mm = map(statistics.median, (*zip(*times), *zip(*floors)))
    ratios = [slow / fast for slow, fast in times]
    giga = sum(2 * m * k * n for m, k, n in shapes(MINI["batch"])) / 1e9
    return [
        row(
            "mini profile, steps per second against the eager loop (claim: 2 times)",
            1e3 / fast,
            "steps/s",
            1e3 / slow,
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
            f"mini profile, ms per step against its {giga:.1f} GFLOP of products alone by oneDNN",
            fast,
            "ms",
            floor,
            floor / fast,
        ),
        row(
            "mini profile, products of a step alone, oneDNN against torch.mm",
            floor,
            "ms",
            floor_mm,
            floor_mm / floor,
        ),
        same_losses(),
    ]


def products_alone(rounds):
    """(oneDNN, torch.mm) milliseconds of the products of a step, once per round."""
    operands = [(torch.randn(m, k), torch.randn(n, k)) for m, k, n in shapes(MINI["batch"])]

    def alone(call):
        return seconds(lambda: [call(*pair) for pair in operands * 5]) / 5 * 1e3

    alone(product)
    return [(alone(product), alone(lambda a, b: a @ b.T)) for _ in range(rounds)]


def same_losses():
    """Largest difference from the plain objective over the steps of a run, each with the same
    weights and batch."""
    seen = []

    def watched(projector, batch, settings):
        seen.append((copy.deepcopy(projector), batch))
        return exmcr_loss(projector, batch, settings)

    pool, settings, cpu = mini_pool(), MINI | {"steps": 20}, torch.device("cpu")
    loop.train(Projector(), pool, settings, 0, loss=watched, progress=False, device=cpu)
    worst = 0.0
    for projector, batch in seen:
        with torch.no_grad():
            theirs = eager.loss(copy.deepcopy(projector), batch, MINI)["total"]
            with TrainingLayers():
                ours = exmcr_loss(projector, batch, MINI)["total"]
        worst = max(worst, abs(float(theirs - ours)))
    what = "largest difference of a loss from the eager objective at the same weights and batch"
    return row(f"mini profile, {what} (claim: 1e-5)", worst, "", 1e-5, worst / 1e-5)


PARTS = {"cpu": cpu}


if __name__ == "__main__":
    record.run("train", __doc__, PARTS)
