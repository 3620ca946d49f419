"""A project: the folder of a run, which holds params.yaml and everything that a run makes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from exmcr import config
from exmcr.banks import Bank, common_ids
from exmcr.banks.bank import read_manifest
from exmcr.banks.imported import Imported, Lookup
from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.common.files import remove_abandoned
from exmcr.common.hashing import digest
from exmcr.common.locks import locked
from exmcr.common.names import check_name, check_split
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
        self._fingerprints: dict[str, tuple[str, Path]] = {}  # of each space, and where it was seen

    @property
    def leaves(self) -> list[Leaf]:
        return self.params.leaves

    @property
    def spaces(self) -> list[str]:
        """Registry names of the spaces of the run, the base first."""
        return self.params.space_names()

    @contextmanager
    def running(self, stage: str, group: distributed.Group = None) -> Iterator[None]:
        """One process at a time runs a stage; what killed ones left half-written is deleted.

        group: torch.distributed group that runs the stage together.
        """
        if distributed.rank(group) > 0:
            yield
            return
        with locked(self.reports / f".{stage}.lock", f"stage {stage} in {self.root}"):
            made = (self.banks, self.root / "pairs", self.root / "models", self.reports)
            for folder in (*made, self.data / "features"):
                remove_abandoned(folder)
            yield

    # paths; names that are no names of folders raise ConfigError

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
        names = check_name("space", space), check_name("modality", modality), check_split(split)
        return self.banks.joinpath(*names)

    def pairs_path(self, leaf: str) -> Path:
        """Folder of the pseudo-pairs of a leaf."""
        return self.root / "pairs" / check_name("leaf", leaf)

    def projector_path(self, leaf: str, seed: int) -> Path:
        """File of the projector of a leaf and seed; the .json beside it records its provenance."""
        name = f"{check_name('leaf', leaf)}-seed{seed:d}.safetensors"
        return self.root / "models/projectors" / name

    def loaded_path(self, space: str) -> Path:
        """File that says which weights were loaded for a space."""
        return self.root / "models/spaces" / f"{check_name('space', space)}-loaded.json"

    # content

    @cached_property
    def items(self) -> pd.DataFrame:
        """The item table (columns: exmcr/corpora/items.py). Raises ConfigError if it is not made
        yet, or damaged."""
        if not self.items_path.is_file():
            raise ConfigError(
                f"no item table at {self.items_path}; run `exmcr corpora` or `dvc repro`"
            )
        from exmcr.corpora.made import check_table

        check_table(self.items_path)
        try:
            return pd.read_parquet(self.items_path)
        except Exception as error:  # pandas and pyarrow raise errors of many kinds
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"{self.items_path} cannot be read: {reason}; run `exmcr corpora`, which makes it "
                "again"
            ) from error

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
                skipped |= {x["id"] for x in read_manifest(manifest.parent).get("skipped", [])}
        items = self.items[self.items.modality.isin(self.modalities)]
        return items[~items.id.isin(skipped)]

    def load_item(self, item: Any) -> Any:
        """The raw item of one row of the item table, in memory (types: exmcr.media); of an imported
        one, words that stand for it. Raises BadItem."""
        from exmcr.corpora.imported import SOURCE

        if item.source == SOURCE:
            return Imported(item.id, item.caption)
        return self.load_raw(item)

    def load_raw(self, item: Any) -> Any:
        """The raw item of one row of the item table, in memory. Raises BadItem if there is none."""
        from exmcr.corpora.items import load_item

        return load_item(item, self.data)

    def load_space(self, name: str, recorded: bool = True) -> "Space | Lookup":
        """A space with its options under `encoders`; of an imported one, a look-up in its banks.

        Raises ConfigError for missing weights and, if `recorded`, for weights or options that are
        not those that the stage `fit_spaces` recorded.
        """
        from exmcr.spaces import load_space, loaded

        if name in self.params.imported:
            return Lookup(self, name)
        space = load_space(name, root=self.root, **self.params.encoder_options(name))
        if recorded:
            loaded.check(self, space)
        return space

    def bank(self, space: str, modality: str, split: str) -> Bank:
        """One bank, verified.

        Raises ConfigError if it is missing or damaged, or if it is of another encoder than a bank
        of the same space that was opened before.
        """
        bank = Bank(self.bank_path(space, modality, split))
        fingerprint, seen = self._fingerprints.setdefault(space, (bank.fingerprint, bank.folder))
        if bank.fingerprint != fingerprint:
            raise ConfigError(
                f"banks of space '{space}' are of two encoders: {seen} has fingerprint "
                f"{fingerprint}, {bank.folder} has {bank.fingerprint}; run `exmcr extract` again"
            )
        return bank

    def fingerprint(self, space: str, modality: str) -> str | None:
        """The fingerprint in the manifest of a training bank; None if there is no bank."""
        folder = self.bank_path(space, modality, "train")
        if not (folder / "manifest.json").is_file():
            return None
        return read_manifest(folder)["fingerprint"]

    def banks_of(self, leaf: Leaf) -> dict[str, str]:
        """The training banks of a leaf, {"space/modality": digest of vectors and ids}, from their
        manifests. Raises ConfigError for a missing bank."""
        own, base = self.params.leaf_space(leaf), self.params.base_space
        names = [(own, leaf.modality), (own, leaf.overlap)]
        names += [(base, leaf.overlap), (base, self.other_modality(leaf))]
        notes = {name: read_manifest(self.bank_path(*name, "train")) for name in names}
        return {
            "/".join(name): digest(note["sha256"], note.get("ids_sha256", ""))
            for name, note in notes.items()
        }

    def pairs_digest(self, leaf: Leaf) -> str | None:
        """Digest of the stored pseudo-pairs of a leaf; None if there are none.

        Raises ConfigError if they are damaged, or lack a center of params.yaml.
        """
        from exmcr.pairing import pairs

        folder = self.pairs_path(leaf.name)
        if not (folder / "manifest.json").is_file():
            return None
        return pairs.files_digest(folder, list(self.params.pair.centers))

    def pools(self, leaf: Leaf, split: str = "train") -> "Pools":
        """The unpaired pools of a leaf: its own modality, the overlap in both spaces, and the
        other modality of the base. Raises ConfigError for a missing bank or no common overlap."""
        from exmcr.pairing.pools import Pools

        own, base = self.params.leaf_space(leaf), self.params.base_space
        other = self.other_modality(leaf)
        x, y = self.bank(own, leaf.modality, split), self.bank(base, other, split)
        in_leaf, in_base = self.bank(own, leaf.overlap, split), self.bank(base, leaf.overlap, split)
        common, same = common_ids(in_leaf, in_base)
        return Pools(
            x_leaf=np.asarray(x.vectors),
            o_leaf=in_leaf.take(common),
            o_base=in_base.take(same),
            y_base=np.asarray(y.vectors),
            names={"leaf": leaf.name, "x": leaf.modality, "o": leaf.overlap, "y": other},
            ids={"x": x.ids, "o": np.array(common, dtype=object), "y": y.ids},
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
