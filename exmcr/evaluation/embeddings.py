"""Vectors of the items a task names, in their own space and brought into the common one."""

from pathlib import Path

import numpy as np
import pandas as pd

from exmcr import config
from exmcr.banks import Bank, aligned
from exmcr.errors import ConfigError
from exmcr.methods import Maps
from exmcr.pairs import Pools
from exmcr.spaces.base import unit

SPLITS = ("train", "val", "test")


class Embeddings:
    """All banks of a project, by space and modality, whatever split their items are in."""

    def __init__(self, root: Path, params: dict, items: pd.DataFrame):
        self.root, self.params, self.items = Path(root), params, items
        self._vectors: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        texts = items[items.modality == "text"]
        self._text_id = dict(zip(texts.caption, texts.id, strict=True))  # one wording has one vector, whatever its split
        self.base = config.base_space(params)

    def bank(self, space: str, modality: str, split: str) -> Bank:
        """One bank of the project. Raises ConfigError when there is none."""
        return Bank(self.root / "banks" / space / modality / split)

    def vectors(self, space: str, rows: pd.DataFrame) -> np.ndarray:
        """float32 (len(rows), dim) in the frozen space; a text row with several `captions` (a class and its sentences) is
        the unit vector of their mean. Raises ConfigError when an item is in none of its banks."""
        modality = rows.modality.iloc[0]
        if modality == "text" and "captions" in rows and (rows.captions.map(len) > 1).any():
            words = pd.DataFrame({"modality": "text", "caption": rows.captions.explode().to_numpy()})
            ends = np.cumsum(rows.captions.map(len))[:-1]
            return unit(np.stack([part.mean(axis=0) for part in np.split(self.vectors(space, words), ends)]))
        known = self._of(space, modality)
        ids = [self._text_id.get(c, "") for c in rows.caption] if modality == "text" else rows.id
        missing = [i for i in ids if i not in known]
        if missing:
            raise ConfigError(f"{len(missing)} {modality} items are in no bank of '{space}', e.g. {missing[0]!r}; run the extract stage")
        return np.stack([known[i] for i in ids])

    def _of(self, space, modality):
        if (space, modality) not in self._vectors:
            found = {}
            for split in SPLITS:
                if (self.root / "banks" / space / modality / split / "manifest.json").is_file():
                    bank = self.bank(space, modality, split)
                    found.update(zip(bank.ids, np.asarray(bank.vectors), strict=True))
            self._vectors[space, modality] = found
        return self._vectors[space, modality]

    def leaf_of(self, modality: str) -> dict | None:
        """The leaf that brings this modality, or None when the base has it."""
        return next((leaf for leaf in self.params["leaves"] if leaf["modality"] == modality), None)

    def common(self, rows: pd.DataFrame, maps: dict[str, Maps]) -> np.ndarray:
        """Vectors in the extended space: a leaf's own modality through its map, everything else from the base.

        maps: leaf name -> Maps."""
        leaf = self.leaf_of(rows.modality.iloc[0])
        if leaf is None:
            vectors = self.vectors(self.base, rows)
            bases = [m.base for m in maps.values()]
            return bases[0](vectors) if len(maps) == 1 else vectors
        return maps[leaf["name"]].leaf(self.vectors(config.leaf_space(self.params, leaf), rows))

    def pools(self, leaf: dict, split: str = "train") -> Pools:
        """The unpaired banks of a leaf: its own modality, the overlap in both spaces, the base's other modality."""
        space = config.leaf_space(self.params, leaf)
        other = other_modality(leaf)
        o_leaf, o_base = aligned(self.bank(space, leaf["overlap"], split), self.bank(self.base, leaf["overlap"], split))
        return Pools(
            x_leaf=np.asarray(self.bank(space, leaf["modality"], split).vectors),
            o_leaf=o_leaf,
            o_base=o_base,
            y_base=np.asarray(self.bank(self.base, other, split).vectors),
            names={"leaf": leaf["name"], "x": leaf["modality"], "o": leaf["overlap"], "y": other},
        )


def other_modality(leaf: dict) -> str:
    """The base modality that a leaf does not share; `other` in params.yaml, image or text by default."""
    return leaf.get("other") or {"text": "image", "image": "text"}[leaf["overlap"]]
