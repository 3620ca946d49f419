"""Outputs of the frozen backbones, kept on disk by content, so that no item goes through a backbone twice."""

import hashlib
import os
import uuid
from pathlib import Path

import numpy as np


class Cached:
    """Wrap a backbone: features of content seen before are read from `folder`, others are computed and added.

    Every call that computes something adds one small file, complete or not there at all."""

    def __init__(self, backbone, folder: Path):
        self.backbone = backbone
        self.size = backbone.size
        self.fingerprint = backbone.fingerprint
        self.folder = Path(folder) / f"{type(backbone).__name__}-{backbone.fingerprint[:12]}"
        self._rows: dict[bytes, np.ndarray] = {}
        for path in sorted(self.folder.glob("*.npz")):
            with np.load(path) as piece:
                self._rows.update(zip(map(bytes, piece["keys"]), piece["features"], strict=True))

    def __call__(self, items: list, batch: int = 32, progress=None) -> np.ndarray:
        """Loaded items -> float32 (n, size)."""
        keys = [content_key(item) for item in items]
        missing = {k: i for k, i in zip(keys, items, strict=True) if k not in self._rows}
        # Batches of equal length waste no padding; text is the modality where it matters.
        order = sorted(missing, key=lambda k: len(missing[k]) if isinstance(missing[k], str) else 0)
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            self._rows.update(zip(some, self.backbone([missing[k] for k in some]), strict=True))
            if progress:
                progress(len(some))
        if order:
            self._write(order)
        return np.stack([self._rows[k] for k in keys]).astype(np.float32)

    def _write(self, keys: list[bytes]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{uuid.uuid4().hex}.part"
        with part.open("wb") as file:
            keys_array = np.array([np.frombuffer(k, np.uint8) for k in keys])
            np.savez(file, keys=keys_array, features=np.stack([self._rows[k] for k in keys]))
            file.flush()
            os.fsync(file.fileno())
        part.rename(part.with_suffix(".npz"))


def content_key(item) -> bytes:
    """16 bytes that name the content of a loaded item (str, array, or a tuple of an array and a number)."""
    digest = hashlib.blake2b(digest_size=16)
    for part in item if isinstance(item, tuple) else (item,):
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part))
        else:
            digest.update(repr(part).encode())
    return digest.digest()
