"""Whether a GPU computes what a CPU computes: aggregation, search, training, projectors."""

from collections.abc import Callable, Iterator
from typing import Any

import eager
import torch
from gpu_setup import Setup, compared, each, patched
from gpu_train import without_graph
from timing import row, unit_rows
from train import MINI

from exmcr.kernels.aggregate import aggregate
from exmcr.kernels.search import topk
from exmcr.kernels.tiles import matmul_precision
from exmcr.pairing.pools import PARTS
from exmcr.training import loop
from exmcr.training.losses import LOSSES
from exmcr.training.objectives import exmcr_loss
from exmcr.training.projectors import Projector

CPU = torch.device("cpu")
BATCH = 1024
TAU = 0.01


def in_order(n: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Stands for torch.randperm."""
    return torch.arange(n, device=device)


def largest(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of two tensors of equal shape; NaN if either holds one."""
    return float((one.cpu().double() - other.cpu().double()).abs().max())


def agreement(setup: Setup) -> Iterator[dict]:
    """Largest difference between the GPU and the CPU in float32, with products on the GPU in
    float32 or TF32: entries of aggregated unit vectors at tau 0.01 (with banks as they are, and
    rounded to float16, which TF32 keeps exactly), scores of the top 10, losses of 50 steps
    (without noise, whose draws differ between devices), outputs of the trained projector. And on
    the GPU alone: losses with noise, as a CUDA graph, without one, and in the eager loop."""
    pieces = [_of_aggregation, _of_search, _of_training, _of_graphs]
    losses = [_of_loss(setup, name) for name in LOSSES]
    yield from each(*(piece(setup) for piece in pieces), *losses)


def _banks(setup: Setup) -> tuple[torch.Tensor, torch.Tensor]:
    return unit_rows(setup.size(2000, 32), 1), unit_rows(setup.size(50_000, 256), 2)


def _of_aggregation(setup: Setup) -> Iterator[dict]:
    queries, keys = _banks(setup)
    for banks, kind in (((queries, keys), ""), ((queries.half(), keys.half()), ", float16 banks")):
        here = aggregate(*banks, banks[1], TAU, device=CPU).values[0]
        for precision in setup.precisions:
            options: dict[str, Any] = {"device": setup.device, "precision": precision}
            there = aggregate(*banks, banks[1], TAU, **options).values[0]
            claim = f"aggregation of {len(queries)} x {len(keys)}{kind}, {precision}"
            yield compared(claim, largest(here, there))


def _of_search(setup: Setup) -> Iterator[dict]:
    queries, keys = _banks(setup)
    size = f"top 10 of {len(queries)} x {len(keys)}"
    scores, indices = topk(queries, keys, 10, device=CPU)
    for precision in setup.precisions:
        there = topk(queries, keys, 10, device=setup.device, precision=precision)
        yield compared(f"{size}, scores, {precision}", largest(scores, there.scores))
        share = float((indices == there.indices).double().mean())
        yield row(f"{size}, share of equal indices in order, {precision}", share, "")


def losses_of(
    setup: Setup,
    device: torch.device,
    precision: str,
    settings: dict,
    pool: dict[str, torch.Tensor],
    loss: Callable = exmcr_loss,
) -> tuple[torch.Tensor, Projector]:
    """Total loss of every step, and the trained projector on the CPU. The pool is one batch, whose
    rows stay in order: a random order differs between devices, and some losses depend on it."""
    projector = setup.projector()
    precise = patched(loop, matmul_precision=lambda _: matmul_precision(precision))
    with precise, patched(torch, randperm=in_order):
        history = loop.train(projector, pool, settings, 0, loss=loss, progress=False, device=device)
    return torch.tensor([record["total"] for record in history]), projector.cpu()


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(((one - other) / one).abs().max())


def steps_of(setup: Setup) -> int:
    return 3 if setup.dry else 50


def small_pool(setup: Setup) -> dict[str, torch.Tensor]:
    return {part: unit_rows(setup.size(BATCH, 32), k) for k, part in enumerate(PARTS)}


def _of_training(setup: Setup) -> Iterator[dict]:
    pool, steps = small_pool(setup), steps_of(setup)
    settings = MINI | {"noise": 0.0, "batch": len(pool["x_leaf"]), "steps": steps}
    here, projector = losses_of(setup, CPU, "float32", settings, pool)
    for precision in setup.precisions:
        there, _ = losses_of(setup, setup.device, precision, settings, pool)
        claim = f"losses of {steps} steps from {float(here[0]):.3f} to {float(here[-1]):.3f}"
        yield compared(f"{claim}, relative, {precision}", relative(here, there))
        yield row(f"the same losses, absolute, {precision}", largest(here, there), "")
    rows = unit_rows(setup.size(4096, 32), 9)
    with torch.inference_mode():
        here = projector(rows)
        projector.to(setup.device)
        for precision in setup.precisions:
            with matmul_precision(precision):
                there = projector(rows.to(setup.device))
            yield compared(f"outputs of the trained projector, {precision}", largest(here, there))


def _of_graphs(setup: Setup) -> Iterator[dict]:
    """The same seeds, with noise: three ways on one device."""
    device, steps = setup.device, steps_of(setup)
    pool = {part: e.to(device) for part, e in small_pool(setup).items()}
    settings = MINI | {"batch": len(pool["x_leaf"]), "steps": steps}
    graph, _ = losses_of(setup, device, "float32", settings, pool)
    with without_graph():
        ordinary, _ = losses_of(setup, device, "float32", settings, pool)
    with matmul_precision("float32"), patched(torch, randperm=in_order):
        totals = torch.tensor(eager.train(setup.projector(), pool, settings, 0))
    claim = f"losses of {steps} steps with noise, relative, float32, graph against"
    yield compared(f"{claim} no graph", relative(ordinary, graph))
    yield compared(f"{claim} the eager loop", relative(totals, graph))


def _of_loss(setup: Setup, name: str) -> Iterator[dict]:
    """A registered loss as a graph against the CPU."""
    pool = {part: e[: max(16, len(e) // 4)] for part, e in small_pool(setup).items()}
    steps = min(8, steps_of(setup))
    settings = MINI | {"noise": 0.0, "batch": len(pool["x_leaf"]), "steps": steps}
    here, there = (
        losses_of(setup, device, "float32", settings, pool, LOSSES[name].function)[0]
        for device in (CPU, setup.device)
    )
    yield compared(
        f"losses of {steps} steps with loss {name}, relative, float32", relative(here, there)
    )
