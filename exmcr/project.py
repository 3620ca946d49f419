"""A project: the folder of a run, which holds params.yaml and everything that a run makes."""

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr import config
from exmcr.banks import Bank, aligned
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.config import Leaf

if TYPE_CHECKING:
    from exmcr.pairing.pools import Pools
    from exmcr.spaces.base import Space


class Project:
    """A folder with params.yaml, opened. It is the only owner of the paths below it.

    root    absolute path of the folder
    params  checked parameters
    leaves  params.leaves

    Raises ConfigError for wrong parameters, before any work starts.
    """

    def __init__(self, root: str | Path | None = None):
        """root: the folder; None takes the one at or above the current folder."""
        self.root = Path(root).resolve() if root else project_root()
        self.params = config.load(self.root / "params.yaml")

    @property
    def leaves(self) -> list[Leaf]:
        return self.params.leaves

    @property
    def spaces(self) -> list[str]:
        """Registry names of the spaces of the run, the base first."""
        return self.params.space_names()

    # paths

    @property
    def data(self) -> Path:
        """Folder of the item table and of what it lists with relative paths."""
        return self.root / "data"

    @property
    def items_path(self) -> Path:
        return self.data / "items.parquet"

    @property
    def banks(self) -> Path:
        return self.root / "banks"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def figures(self) -> Path:
        return self.reports / "figures"

    def bank_path(self, space: str, modality: str, split: str) -> Path:
        return self.banks / space / modality / split

    def pairs_path(self, leaf: str) -> Path:
        """Folder of the pseudo-pairs of a leaf."""
        return self.root / "pairs" / leaf

    def projector_path(self, leaf: str, seed: int) -> Path:
        """File of the projector of a leaf and seed; the .json beside it records its provenance."""
        return self.root / "models/projectors" / f"{leaf}-seed{seed}.safetensors"

    def loaded_path(self, space: str) -> Path:
        """File that says which weights were loaded for a space."""
        return self.root / "models/spaces" / f"{space}-loaded.json"

    # content

    @cached_property
    def items(self) -> pd.DataFrame:
        """The item table (columns: exmcr/corpora/items.py). Raises ConfigError if not made yet."""
        if not self.items_path.is_file():
            raise ConfigError(
                f"no item table at {self.items_path}; run `exmcr corpora` or `dvc repro`"
            )
        return pd.read_parquet(self.items_path)

    @property
    def modalities(self) -> list[str]:
        """The modalities of the run: those of the base, then those that leaves add."""
        of_base = self.params.modalities_of(self.params.base_space)
        return list(dict.fromkeys([*of_base, *(leaf.modality for leaf in self.leaves)]))

    @cached_property
    def usable_items(self) -> pd.DataFrame:
        """The items of the modalities of the run that no space skipped as damaged."""
        skipped = set()
        for name in self.spaces:
            for manifest in (self.banks / name).glob("*/*/manifest.json"):
                skipped |= {x["id"] for x in json.loads(manifest.read_text()).get("skipped", [])}
        items = self.items[self.items.modality.isin(self.modalities)]
        return items[~items.id.isin(skipped)]

    def load_item(self, item):
        """Load the raw item of one row of the item table. Raises BadItem."""
        from exmcr.corpora.items import load_item

        return load_item(item, self.data)

    def load_space(self, name: str) -> "Space":
        """A space with its options under `encoders`. Raises ConfigError for missing weights."""
        from exmcr.spaces import load_space

        if name in self.params.imported:
            raise ConfigError(f"space '{name}' has no encoder here: its embeddings were imported")
        return load_space(name, root=self.root, **self.params.encoder_options(name))

    def bank(self, space: str, modality: str, split: str) -> Bank:
        """One bank. Raises ConfigError if there is none."""
        return Bank(self.bank_path(space, modality, split))

    def pools(self, leaf: Leaf, split: str = "train") -> "Pools":
        """The unpaired pools of a leaf: its own modality, the overlap in both spaces, and the
        other modality of the base. Raises ConfigError for a missing bank or no common overlap."""
        from exmcr.pairing.pools import Pools

        own, base = self.params.leaf_space(leaf), self.params.base_space
        other = self.other_modality(leaf)
        x, y = self.bank(own, leaf.modality, split), self.bank(base, other, split)
        in_leaf, in_base = self.bank(own, leaf.overlap, split), self.bank(base, leaf.overlap, split)
        o_leaf, o_base = aligned(in_leaf, in_base)
        common = np.array([id for id in in_leaf.ids if id in in_base.row], dtype=object)
        return Pools(
            x_leaf=np.asarray(x.vectors),
            o_leaf=o_leaf,
            o_base=o_base,
            y_base=np.asarray(y.vectors),
            names={"leaf": leaf.name, "x": leaf.modality, "o": leaf.overlap, "y": other},
            ids={"x": x.ids, "o": common, "y": y.ids},
        )

    def other_modality(self, leaf: Leaf) -> str:
        """The base modality that a leaf is to meet besides the overlap: `other` in params.yaml,
        by default the first modality of the base that is not the overlap.

        Raises ConfigError if the base has no other modality."""
        if leaf.other:
            return leaf.other
        for modality in self.params.modalities_of(self.params.base_space):
            if modality != leaf.overlap:
                return modality
        raise ConfigError(f"leaf '{leaf.name}': the base has no modality besides '{leaf.overlap}'")
