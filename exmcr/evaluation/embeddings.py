"""Vectors of the items that a task names, in their own space and in the common one."""

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps

SPLITS = ("train", "val", "test")


class Embeddings:
    """All banks of a project (exmcr.project.Project), by space and modality, over all splits."""

    def __init__(self, project):
        self.project, self.params = project, project.params
        self._vectors: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        texts = project.items[project.items.modality == "text"]
        # Equal texts have one vector, whatever their split.
        self._text_id = dict(zip(texts.caption, texts.id, strict=True))

    def own_space(self, modality: str) -> str:
        """Registry name of the space that encodes a modality: its leaf's, else the base."""
        leaf = self.params.leaf_of(modality)
        return self.params.leaf_space(leaf) if leaf else self.params.base_space

    def vectors(self, space: str, rows: pd.DataFrame) -> np.ndarray:
        """float32 (len(rows), dim) in a frozen space.

        A text row with several `captions` (a class and its prompts) is the unit vector of their
        mean. Raises ConfigError if an item is in no bank of the space.
        """
        modality = rows.modality.iloc[0]
        if modality == "text" and "captions" in rows and (rows.captions.map(len) > 1).any():
            texts = rows.captions.explode().to_numpy()
            words = pd.DataFrame({"modality": "text", "caption": texts})
            ends = np.cumsum(rows.captions.map(len))[:-1]
            parts = np.split(self.vectors(space, words), ends)
            return unit(np.stack([part.mean(axis=0) for part in parts]))
        known = self._of(space, modality)
        ids = [self._text_id.get(c, "") for c in rows.caption] if modality == "text" else rows.id
        missing = [i for i in ids if i not in known]
        if missing:
            raise ConfigError(
                f"{len(missing)} {modality} items are in no bank of '{space}', "
                f"e.g. {missing[0]!r}; run `exmcr extract`"
            )
        return np.stack([known[i] for i in ids])

    def _of(self, space: str, modality: str) -> dict[str, np.ndarray]:
        if (space, modality) not in self._vectors:
            found: dict[str, np.ndarray] = {}
            for split in SPLITS:
                if (self.project.bank_path(space, modality, split) / "manifest.json").is_file():
                    bank = self.project.bank(space, modality, split)
                    found.update(zip(bank.ids, np.asarray(bank.vectors), strict=True))
            self._vectors[space, modality] = found
        return self._vectors[space, modality]

    def own(self, rows: pd.DataFrame) -> np.ndarray:
        """Vectors of rows of one modality in the frozen space of that modality."""
        return self.vectors(self.own_space(rows.modality.iloc[0]), rows)

    def common(self, rows: pd.DataFrame, maps: dict[str, Maps]) -> np.ndarray:
        """Vectors in the extended space: a leaf's modality through its map, others from the base.

        maps: {leaf name: Maps} of a method that leaves the base unchanged.
        """
        leaf = self.params.leaf_of(rows.modality.iloc[0])
        return self.own(rows) if leaf is None else maps[leaf.name].leaf(self.own(rows))
