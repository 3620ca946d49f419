"""Outputs of the frozen backbones, cached on disk by content: no item is encoded twice."""

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from exmcr.common.files import atomic_write


class Backbone(Protocol):
    """A frozen encoder of one modality (exmcr.spaces.mini.backbones)."""

    size: int
    fingerprint: str

    def __call__(self, items: list, /) -> np.ndarray: ...


class Cached:
    """A backbone behind a cache: known content is read from `folder`, the rest is computed and
    added.

    Each call that computes something adds one small file, atomically.
    """

    def __init__(self, backbone: Backbone, folder: str | Path):
        self.backbone = backbone
        self.size = backbone.size
        self.fingerprint = backbone.fingerprint
        self.folder = Path(folder) / f"{type(backbone).__name__}-{backbone.fingerprint[:12]}"
        self._rows: dict[bytes, np.ndarray] = {}
        for path in sorted(self.folder.glob("*.npz")):
            self._rows |= _read(path)

    def __call__(
        self, items: list, batch: int = 32, progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Loaded items -> float32 (n, size).

        batch: items per call of the backbone. progress: called with the number of computed items
        after each batch.
        """
        keys = [content_key(item) for item in items]
        missing = {k: i for k, i in zip(keys, items, strict=True) if k not in self._rows}
        # Texts of similar length in one batch need little padding.
        order = sorted(missing, key=lambda k: len(missing[k]) if isinstance(missing[k], str) else 0)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            self._rows.update(zip(part, self.backbone([missing[k] for k in part]), strict=True))
            if progress:
                progress(len(part))
        if order:
            self._write(order)
        return np.stack([self._rows[k] for k in keys]).astype(np.float32)

    def _write(self, keys: list[bytes]) -> None:
        stacked = np.array([np.frombuffer(k, np.uint8) for k in keys])
        features = np.stack([self._rows[k] for k in keys])
        path = self.folder / f"{uuid.uuid4().hex}.npz"
        with atomic_write(path) as draft, draft.open("wb") as file:
            np.savez(file, keys=stacked, features=features)


def _read(path: Path) -> dict[bytes, np.ndarray]:
    """{key: features} of one file. A damaged one is deleted, and its items are encoded again."""
    try:
        with np.load(path) as piece:  # checks the CRC-32 of each part
            return dict(zip(map(bytes, piece["keys"]), piece["features"], strict=True))
    except Exception as error:  # zipfile and numpy raise errors of many kinds
        print(f"{path} is damaged ({type(error).__name__}); its items are encoded again")
        path.unlink(missing_ok=True)
        return {}


def content_key(item) -> bytes:
    """A hash (16 bytes) of a loaded item: a string, an array, or a tuple of arrays and numbers."""
    total = hashlib.sha256()  # processors have instructions for it: twice as fast as blake2b
    for part in item if isinstance(item, tuple) else (item,):
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).data)
        else:
            total.update(repr(part).encode())
    return total.digest()[:16]
