"""Raw items in, vectors out: what `encode` and `gallery` of a model work with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from exmcr import media
from exmcr.banks.imported import Imported
from exmcr.common.errors import BadItem
from exmcr.common.vectors import unit
from exmcr.media.guard import one_line

ROWS = 65_536  # vectors through a projector at once


class Encoded(dict[str, np.ndarray]):
    """{modality: float32 (n, d) unit rows}.

    skipped: [(modality, position in the list of items, reason)] of the items that were left out.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.skipped: list[tuple[str, int, str]] = []


class Projected:
    """The bank of a leaf as rows of the base space, (n, dim), projected when they are read.

    So it may exceed memory. It has what exmcr.kernels.search.topk reads: len, shape and slices.
    """

    ndim = 2

    def __init__(self, vectors: np.ndarray, project: Callable[[np.ndarray], np.ndarray], dim: int):
        self.vectors, self.project, self.shape = vectors, project, (len(vectors), dim)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows) -> np.ndarray:
        return self.project(np.atleast_2d(self.vectors[rows]))


def apply(
    module: nn.Module, vectors: np.ndarray, out: int, device: torch.device, name: str
) -> np.ndarray:
    """Vectors (n, d) through a projector, block by block -> float32 (n, out).

    name: of the vectors, for messages. Raises FloatingPointError for NaN, infinite or zero rows.
    """
    result = np.empty((len(vectors), out), np.float32)
    for start in range(0, len(vectors), ROWS):
        rows = unit(np.asarray(vectors[start : start + ROWS], np.float32), name)
        with torch.inference_mode():
            projected = module(torch.from_numpy(rows).to(device))
        result[start : start + len(rows)] = projected.cpu().numpy()
    return result


def load_items(
    modality: str, items: list, start: int, skipped: list | None, window: dict[str, float]
) -> Iterator[Any]:
    """Yield raw items in memory; unusable ones are noted in `skipped`, or raise BadItem if it is
    None.

    start: position of the first item, for messages; window: arguments of exmcr.media.load.
    """
    for place, item in enumerate(items, start):
        try:
            known = isinstance(item, Imported)  # found in a bank, not encoded
            yield item if known else media.load(modality, item, **window)
        except BadItem as error:
            if skipped is None:
                raise BadItem(f"{modality} item {place} ({_name(item)}): {error}") from error
            skipped.append((modality, place, str(error)))


def _name(item) -> str:
    """A path or text, shortened to its end; the type of anything else."""
    if isinstance(item, str | Path):
        text = one_line(str(item)[-200:])
        return text if len(text) <= 80 else f"…{text[-79:]}"
    return type(item).__name__
