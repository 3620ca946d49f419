"""A finished bank, opened."""

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256


class Bank:
    """A finished bank.

    folder   its folder
    meta     content of manifest.json
    vectors  float32 (n, dim), unit rows, memory-mapped
    ids      object array (n,)
    """

    def __init__(self, folder: str | Path, verify: bool = False):
        """Open the bank in a folder.

        Raises ConfigError for a missing or empty bank and, with `verify`, for vectors that differ
        from those that the manifest describes.
        """
        import pandas as pd  # takes longer to import than the rest of the public API

        self.folder = Path(folder)
        manifest = self.folder / "manifest.json"
        if not manifest.is_file():
            raise ConfigError(
                f"no bank at {self.folder}; run `exmcr extract` or `dvc repro extract`"
            )
        self.meta = json.loads(manifest.read_text())
        self.vectors = np.load(self.folder / "vectors.npy", mmap_mode="r")
        self.ids = pd.read_parquet(self.folder / "ids.parquet").id.to_numpy()
        if len(self.ids) != len(self.vectors) or not len(self.ids):
            raise ConfigError(
                f"bank {self.folder} has {len(self.vectors)} vectors for {len(self.ids)} ids; "
                "delete it and extract again"
            )
        if verify and sha256(self.folder / "vectors.npy") != self.meta["sha256"]:
            raise ConfigError(
                f"{self.folder}/vectors.npy is not the file its manifest describes; "
                "delete the bank and extract again"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the space that made the vectors (Space.fingerprint)."""
        return self.meta["fingerprint"]

    @cached_property
    def row(self) -> dict[str, int]:
        """id -> row number."""
        return {id: row for row, id in enumerate(self.ids)}

    def take(self, ids: Iterable[str]) -> np.ndarray:
        """Vectors of the given items in the given order, float32 (len(ids), dim).

        Raises KeyError for an id that is not in the bank.
        """
        return np.asarray(self.vectors[[self.row[id] for id in ids]])


def aligned(a: Bank, b: Bank) -> tuple[np.ndarray, np.ndarray]:
    """The items that both banks hold, row by row: (n, dim_a), (n, dim_b).

    Raises ConfigError if they share none.
    """
    common = [id for id in a.ids if id in b.row]
    if not common:
        raise ConfigError(f"banks {a.folder} and {b.folder} share no item")
    return a.take(common), b.take(common)
