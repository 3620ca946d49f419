"""What a frozen contrastive space is: the only thing the pipeline knows about encoders.

A new space is one file with one subclass of `Space`, and one line in exmcr/spaces/__init__.py."""

import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exmcr import media
from exmcr.errors import ConfigError
from exmcr.files import sha256


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
        """Encode items that exmcr.media has loaded (see its table) -> float32 (n, dim), not necessarily normalised."""

    def encode(self, modality: str, items: list) -> np.ndarray:
        """Raw items (strings, paths, arrays) -> float32 (n, dim) of unit norm.

        Raises ConfigError for a modality this space lacks, BadItem for an item that cannot be used,
        FloatingPointError when the encoder returns NaN or a zero vector, RuntimeError when it returns another shape."""
        if modality not in self.modalities:
            raise ConfigError(f"space '{self.name}' has no modality '{modality}', only {', '.join(self.modalities)}")
        if len(items) == 0:
            return np.empty((0, self.dim), np.float32)
        vectors = np.asarray(self.encode_batch(modality, [media.load(modality, item) for item in items]), np.float32)
        if vectors.shape != (len(items), self.dim):
            raise RuntimeError(f"space '{self.name}' returned {vectors.shape} for {len(items)} items of {modality}")
        return unit(vectors, f"space '{self.name}', {modality}")


def in_batches(items: list, size: int, device: str, prepare: Callable, encode: Callable) -> np.ndarray:
    """encode(prepare(part)) -> (n, dim) for parts of `size` items, as float32 (n, dim): how a frozen network of torch is run.

    `encode` is the network alone, which on a CPU runs in exmcr.layers.InferenceLayers; everything before it belongs to `prepare`."""
    import torch

    from exmcr.layers import InferenceLayers

    faster = InferenceLayers() if torch.device(device).type == "cpu" else contextlib.nullcontext()
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(items), size):
            prepared = prepare(items[start : start + size])
            with faster:
                vectors.append(encode(prepared).float().cpu())
    return torch.cat(vectors).numpy()


def unit(vectors: np.ndarray, what: str = "vectors") -> np.ndarray:
    """Scale rows to unit norm, float32. Raises FloatingPointError on NaN, infinite or zero rows."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    bad = ~np.isfinite(norm) | (norm == 0)
    if bad.any():
        raise FloatingPointError(f"{what}: {int(bad.sum())} of {norm.size} rows are NaN, infinite or zero")
    return (vectors / norm).astype(np.float32)


def digest(*parts: str | bytes | Path) -> str:
    """SHA-256 hex over strings, bytes and the contents of files, in order. What fingerprints are made of."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = bytes.fromhex(sha256(part))
        elif isinstance(part, str):
            part = part.encode()
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()
