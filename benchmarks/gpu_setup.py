"""What the sections of benchmarks/gpu.py share: device, sizes, precision, and timers."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from timing import DIM, row, seconds

from exmcr.training.projectors import HIDDEN, Projector


@dataclass(frozen=True)
class Setup:
    """device  where the measured code runs
    scale   factor of all sizes; 1 is that of the paper
    """

    device: torch.device
    scale: float

    @property
    def dry(self) -> bool:
        """Whether this is a run without a GPU."""
        return self.device.type != "cuda"

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those of matrix products: "tf32" needs a GPU."""
        return ("float32",) if self.dry else ("float32", "tf32")

    def size(self, full: int, least: int = 1) -> int:
        """`full` at this scale, at least `least`."""
        return max(least, round(full * self.scale))

    def projector(self) -> Projector:
        """A new projector, the same at every call."""
        torch.manual_seed(0)
        return Projector(DIM, DIM, self.size(HIDDEN, 32))

    def rounds(self, full: int) -> int:
        return 1 if self.dry else full


CLAIM = 1e-3  # largest difference between a GPU and a CPU


def compared(claim: str, difference: float) -> dict:
    """A row with a difference that is claimed to be at most CLAIM."""
    return row(f"{claim} (claim: {CLAIM:g})", difference, "", CLAIM, difference / CLAIM)


def each(*parts: Iterator[dict]) -> Iterator[dict]:
    """The rows of all parts. An error ends its part only; all errors are raised at the end."""
    errors = []
    for part in parts:
        try:
            yield from part
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("some parts of this section failed", errors)


@contextmanager
def patched(module: Any, **attributes: Any) -> Iterator[None]:
    """Replace attributes of a module inside the block."""
    before = {name: getattr(module, name) for name in attributes}
    for name, value in attributes.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def typical(call: Callable[[], Any], rounds: int) -> float:
    """Median wall time of a call in seconds, work on the GPU included. Does not warm up."""
    return statistics.median(seconds(call) for _ in range(rounds))


def repeated(call: Callable[[], Any], times: int, rounds: int) -> float:
    """Seconds of one of `times` calls in a row, median over rounds, after a warm-up: for calls that
    are short against the synchronization around them."""

    def several() -> None:
        for _ in range(times):
            call()

    several()
    return typical(several, rounds) / times
