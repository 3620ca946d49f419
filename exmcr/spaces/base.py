"""The interface of a frozen contrastive space.

A new space is one file with one subclass of `Space`, and one line in exmcr/spaces/__init__.py.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exmcr import media
from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.media import videos
from exmcr.media.chunks import in_chunks

CHUNK = 512  # loaded items in memory at once, fewer if they are large


class Space(ABC):
    """Several modalities embedded on one unit sphere. A subclass needs five members:

    name          registry name, e.g. "clip"
    dim           dimension of the embeddings
    modalities    subset of exmcr.media.MODALITIES
    fingerprint   hex digest of weights and preprocessing; every bank and projector records it and
                  is refused if it does not match
    encode_batch  the encoder

    Three more are optional:

    files         the weight files that were loaded
    choices       constructor options with a fixed set of values: {option: values}
    windows       arguments of exmcr.media.load by modality, e.g. {"audio": {"used": 10.0}} if no
                  more than the first 10 s of a sound are used

    The constructor takes options by name. If it has an argument `root`, it is given the project
    folder, against which relative paths are resolved.
    """

    name: str
    dim: int
    modalities: tuple[str, ...]
    fingerprint: str
    files: tuple[Path, ...] = ()
    choices: dict[str, tuple[str, ...]] = {}
    windows: dict[str, dict[str, float]] = {}

    @abstractmethod
    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Encode items loaded by exmcr.media (types: see there) -> float32 (n, dim).

        The rows need not be normalized.
        """

    def encode(self, modality: str, items: list) -> np.ndarray:
        """Load and encode raw items (strings, paths, arrays) -> float32 (n, dim), unit rows.

        Raises ConfigError for a modality that the space lacks, BadItem for an item that cannot be
        used, and otherwise as `encode_loaded`.
        """
        self._check_modality(modality)
        window = self.windows.get(modality, {})
        loaded = (media.load(modality, item, **window) for item in items)
        chunks = in_chunks(loaded, CHUNK)
        parts = [self.encode_loaded(modality, chunk) for chunk in chunks]
        return np.concatenate(parts or [self.encode_loaded(modality, [])])

    def encode_loaded(self, modality: str, items: list) -> np.ndarray:
        """Encode items loaded by exmcr.media -> float32 (n, dim), unit rows.

        The vector of a video is the normalized mean of those of its frames.

        Raises ConfigError for a modality that the space lacks, FloatingPointError if the encoder
        returns NaN or a zero vector, RuntimeError if it returns another shape.
        """
        self._check_modality(modality)
        if len(items) == 0:
            return np.empty((0, self.dim), np.float32)
        items, counts = videos.in_frames(modality, items)
        vectors = np.asarray(self.encode_batch(modality, items), np.float32)
        if vectors.shape != (len(items), self.dim):
            raise RuntimeError(
                f"space '{self.name}' returned {vectors.shape} for {len(items)} items of {modality}"
            )
        return videos.means(unit(vectors, f"space '{self.name}', {modality}"), counts)

    def _check_modality(self, modality: str) -> None:
        if modality not in self.modalities:
            known = ", ".join(self.modalities)
            raise ConfigError(f"space '{self.name}' has no modality '{modality}', only {known}")


def in_batches(
    items: list,
    size: int,
    device: str,
    prepare: Callable[[list], Any],
    encode: Callable[[Any], Any],
) -> np.ndarray:
    """Run a frozen torch encoder on batches of `size` items -> float32 (n, dim).

    prepare: items -> input of the network. encode: the network alone, input -> tensor (b, dim); on
    a CPU its linear layers run in exmcr.kernels.layers.InferenceLayers.
    """
    import torch

    from exmcr.kernels.layers import InferenceLayers

    faster: contextlib.AbstractContextManager = contextlib.nullcontext()
    if torch.device(device).type == "cpu":
        faster = InferenceLayers()
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(items), size):
            prepared = prepare(items[start : start + size])
            with faster:
                vectors.append(encode(prepared).float().cpu())
    return torch.cat(vectors).numpy()
