"""Raw items in, vectors out: what `encode` and `gallery` of a model work with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from exmcr import media
from exmcr.common.errors import BadItem


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


def load_items(modality: str, items: list, start: int, skipped: list | None) -> list:
    """Raw items in memory; unusable ones are noted in `skipped`, or raise BadItem if it is None.

    start: position of the first item, for messages.
    """
    loaded = []
    for place, item in enumerate(items, start):
        try:
            loaded.append(media.load(modality, item))
        except BadItem as error:
            if skipped is None:
                raise BadItem(f"{modality} item {place} ({_name(item)}): {error}") from error
            skipped.append((modality, place, str(error)))
    return loaded


def _name(item) -> str:
    """A path or text, shortened to its end; the type of anything else."""
    if isinstance(item, str | Path):
        text = str(item)
        return text if len(text) <= 80 else f"…{text[-79:]}"
    return type(item).__name__
