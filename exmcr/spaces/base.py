"""What a frozen contrastive space is: the only thing the pipeline knows about encoders.

A new space is one file with one subclass of `Space`, and one line in exmcr/spaces/__init__.py."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exmcr import media
from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit


class Space(ABC):
    """Several modalities on one unit sphere.

    name         registry name, e.g. "clip"
    dim          length of a vector
    modalities   subset of exmcr.media.MODALITIES
    fingerprint  hex digest over weights and preprocessing; every bank and projector carries it, and refuses another
    files        the weight files it was read from
    choices      options of the constructor that have few values: {option: values}

    The constructor takes `root`, the project folder from which relative paths are understood, and options by name."""

    name: str
    dim: int
    modalities: tuple[str, ...]
    fingerprint: str
    files: tuple[Path, ...] = ()
    choices: dict[str, tuple[str, ...]] = {}

    @abstractmethod
    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Encode items that exmcr.media has loaded (see its table) -> float32 (n, dim), not necessarily normalized."""

    def encode(self, modality: str, items: list) -> np.ndarray:
        """Raw items (strings, paths, arrays) -> float32 (n, dim), unit rows.

        Raises ConfigError for a modality that the space lacks, BadItem for an item that cannot be
        used, and otherwise as `encode_loaded`.
        """
        self._check_modality(modality)
        return self.encode_loaded(modality, [media.load(modality, item) for item in items])

    def encode_loaded(self, modality: str, items: list) -> np.ndarray:
        """Items that exmcr.media has loaded -> float32 (n, dim), unit rows.

        Raises ConfigError for a modality that the space lacks, FloatingPointError if the encoder
        returns NaN or a zero vector, RuntimeError if it returns another shape.
        """
        self._check_modality(modality)
        if len(items) == 0:
            return np.empty((0, self.dim), np.float32)
        vectors = np.asarray(self.encode_batch(modality, items), np.float32)
        if vectors.shape != (len(items), self.dim):
            raise RuntimeError(
                f"space '{self.name}' returned {vectors.shape} for {len(items)} items of {modality}"
            )
        return unit(vectors, f"space '{self.name}', {modality}")

    def _check_modality(self, modality: str) -> None:
        if modality not in self.modalities:
            known = ", ".join(self.modalities)
            raise ConfigError(f"space '{self.name}' has no modality '{modality}', only {known}")


def in_batches(
    items: list, size: int, device: str, prepare: Callable, encode: Callable
) -> np.ndarray:
    """encode(prepare(part)) -> (n, dim) for parts of `size` items, as float32 (n, dim): how a frozen network of torch is run.

    `encode` is the network alone, which on a CPU runs in exmcr.layers.InferenceLayers; everything before it belongs to `prepare`."""
    import torch

    from exmcr.kernels.layers import InferenceLayers

    faster = InferenceLayers() if torch.device(device).type == "cpu" else contextlib.nullcontext()
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(items), size):
            prepared = prepare(items[start : start + size])
            with faster:
                vectors.append(encode(prepared).float().cpu())
    return torch.cat(vectors).numpy()
