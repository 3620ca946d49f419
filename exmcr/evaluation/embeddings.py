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
        if _has_several_captions(rows):
            return self._means(space, rows.captions)
        modality = rows.modality.iloc[0]
        bank, ids = self._bank(space, modality), self._ids(rows)
        if missing := [i for i in ids if i not in bank]:
            raise ConfigError(
                f"{len(missing)} {modality} items are in no bank of '{space}', "
                f"e.g. {missing[0]!r}; run `exmcr extract`"
            )
        return np.stack([bank[i] for i in ids])

    def complete(self, space: str, rows: pd.DataFrame) -> bool:
        """Whether every one of these rows has a vector in a space."""
        bank = self._bank(space, rows.modality.iloc[0])
        texts = _each_caption(rows.captions) if _has_several_captions(rows) else rows
        return all(id in bank for id in self._ids(texts))

    def _ids(self, rows: pd.DataFrame) -> list[str]:
        """Ids in banks of rows of one modality; "" for a text that is not in the item table."""
        if rows.modality.iloc[0] == "text":
            return [self._text_id.get(caption, "") for caption in rows.caption]
        return rows.id.tolist()

    def _means(self, space: str, captions: pd.Series) -> np.ndarray:
        ends = np.cumsum(captions.map(len))[:-1]
        parts = np.split(self.vectors(space, _each_caption(captions)), ends)
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


def _has_several_captions(rows: pd.DataFrame) -> bool:
    """Whether these are texts of which one has several captions."""
    is_text = rows.modality.iloc[0] == "text"
    return is_text and "captions" in rows and bool((rows.captions.map(len) > 1).any())


def _each_caption(captions: pd.Series) -> pd.DataFrame:
    """A row per caption, from a list of captions per row."""
    return pd.DataFrame({"modality": "text", "caption": captions.explode().to_numpy()})
