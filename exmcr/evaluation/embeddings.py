"""Vectors of the items that a task names, in their own space and in the common one."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.names import SPLITS
from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps

if TYPE_CHECKING:
    from exmcr.project import Project


class Embeddings:
    """The vectors of all banks of a project, by space, modality and item."""

    def __init__(self, project: "Project"):
        self.project, self.params = project, project.params
        self._banks: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        texts = project.items[project.items.modality == "text"]
        # Equal texts have one vector, whatever their split.
        self._text_id = dict(zip(texts.caption, texts.id, strict=True))

    def own_space(self, modality: str) -> str:
        """Registry name of the space that encodes a modality: that of its leaf, else the base."""
        leaf = self.params.leaf_of(modality)
        return self.params.leaf_space(leaf) if leaf else self.params.base_space

    def vectors(self, space: str, rows: pd.DataFrame) -> np.ndarray:
        """Vectors in a frozen space, float32 (n, dim), of n rows of the item table of one modality.

        A text with several `captions` (a class and its prompts) has the unit vector of their mean.
        Raises ConfigError if an item is in no bank of the space.
        """
        modality = rows.modality.iloc[0]
        if modality == "text" and "captions" in rows and (rows.captions.map(len) > 1).any():
            return self._means(space, rows.captions)
        bank = self._bank(space, modality)
        ids = [self._text_id.get(c, "") for c in rows.caption] if modality == "text" else rows.id
        missing = [i for i in ids if i not in bank]
        if missing:
            raise ConfigError(
                f"{len(missing)} {modality} items are in no bank of '{space}', "
                f"e.g. {missing[0]!r}; run `exmcr extract`"
            )
        return np.stack([bank[i] for i in ids])

    def complete(self, space: str, rows: pd.DataFrame) -> bool:
        """Whether every one of these rows has a vector in a space."""
        try:
            self.vectors(space, rows)
        except ConfigError:
            return False
        return True

    def _means(self, space: str, captions: pd.Series) -> np.ndarray:
        texts = pd.DataFrame({"modality": "text", "caption": captions.explode().to_numpy()})
        ends = np.cumsum(captions.map(len))[:-1]
        parts = np.split(self.vectors(space, texts), ends)
        return unit(np.stack([part.mean(axis=0) for part in parts]))

    def _bank(self, space: str, modality: str) -> dict[str, np.ndarray]:
        """{item: vector}, of all splits."""
        key = (space, modality)
        if key not in self._banks:
            self._banks[key] = {}
            for split in SPLITS:
                if (self.project.bank_path(space, modality, split) / "manifest.json").is_file():
                    bank = self.project.bank(space, modality, split)
                    pairs = zip(bank.ids, np.asarray(bank.vectors), strict=True)
                    self._banks[key].update(pairs)
        return self._banks[key]

    def own(self, rows: pd.DataFrame) -> np.ndarray:
        """Vectors of rows of one modality in the frozen space of that modality."""
        return self.vectors(self.own_space(rows.modality.iloc[0]), rows)

    def common(self, rows: pd.DataFrame, maps: dict[str, Maps]) -> np.ndarray:
        """Vectors in the extended space: a leaf modality passes its map, others are in the base.

        maps: {leaf name: Maps} of a method that leaves the base unchanged.
        """
        leaf = self.params.leaf_of(rows.modality.iloc[0])
        return self.own(rows) if leaf is None else maps[leaf.name].leaf(self.own(rows))
