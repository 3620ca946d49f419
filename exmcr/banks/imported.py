"""Spaces without an encoder: their banks, and what stands for their items, which have no raw data.

`exmcr import-bank` makes the banks. `corpora: imported` lists their items.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exmcr.banks.bank import Bank
from exmcr.common.errors import ConfigError
from exmcr.common.names import SPLITS

if TYPE_CHECKING:
    from exmcr.project import Project


def banks_of(project: "Project", space: str, splits: tuple[str, ...]) -> Iterator[tuple]:
    """Yield (modality, split, bank) of the imported banks of a space.

    Raises ConfigError if a training pool is missing, or if items of the item table are in no bank.
    """
    for modality in project.params.modalities_of(space):
        for split in splits:
            folder = project.bank_path(space, modality, split)
            rows = project.items[
                (project.items.modality == modality) & (project.items.split == split)
            ]
            if not (folder / "manifest.json").is_file():
                if split == "train" or len(rows):
                    raise ConfigError(
                        f"no bank at {folder}: `exmcr import-bank <file> --space {space} "
                        f"--modality {modality} --split {split}` makes it"
                    )
                continue
            bank = Bank(folder)
            if missing := [id for id in rows.id if id not in bank.row]:
                print(
                    f"{space}, {modality}, {split}: {len(missing)} of {len(rows)} items have no "
                    f"vector, e.g. {missing[0]!r}"
                )
            yield modality, split, bank


class Imported(str):
    """Stands for an item without raw data: its caption, or its id if it has none. Figures show
    these words in its place."""

    id: str

    def __new__(cls, id: str, caption: str = "") -> "Imported":
        words = super().__new__(cls, caption or id)
        words.id = id
        return words


class Lookup:
    """A space that encodes what was imported into its banks, and nothing else.

    It has the members of exmcr.spaces.base.Space that code beyond the stage `extract` uses: name,
    dim, modalities, fingerprint, files, windows, encode, encode_loaded.
    """

    files: tuple[Path, ...] = ()
    windows: dict[str, dict[str, float]] = {}

    def __init__(self, project: "Project", name: str):
        """Raises ConfigError if no bank of the space has been imported."""
        self.name, self.modalities = name, project.params.modalities_of(name)
        self._banks: dict[str, list[Bank]] = {
            modality: [
                project.bank(name, modality, split)
                for split in SPLITS
                if (project.bank_path(name, modality, split) / "manifest.json").is_file()
            ]
            for modality in self.modalities
        }
        first = next((bank for banks in self._banks.values() for bank in banks), None)
        if first is None:
            raise ConfigError(
                f"no bank of space '{name}' in {project.banks}; `exmcr import-bank` makes one"
            )
        self.dim, self.fingerprint = first.vectors.shape[1], first.fingerprint
        texts = project.items[project.items.modality == "text"]
        self._text_id = dict(zip(texts.caption, texts.id, strict=True))

    def encode(self, modality: str, items: list) -> np.ndarray:
        """Vectors of `Imported` items, or of texts, float32 (n, dim), unit rows.

        Raises ConfigError for a modality that the space lacks, and for what was not imported.
        """
        if modality not in self.modalities:
            known = ", ".join(self.modalities)
            raise ConfigError(f"space '{self.name}' has no modality '{modality}', only {known}")
        rows = [self._vector(modality, item) for item in items]
        return np.stack(rows) if rows else np.empty((0, self.dim), np.float32)

    encode_loaded = encode

    def _vector(self, modality: str, item: str) -> np.ndarray:
        id = item.id if isinstance(item, Imported) else self._text_id.get(item)
        for bank in self._banks[modality]:
            if id in bank.row:
                return np.asarray(bank.vectors[bank.row[id]])
        raise ConfigError(
            f"space '{self.name}' has no encoder here, and no {modality} {item!r} was imported"
        )
