"""Queries in, answers out: what the demo does, without its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from exmcr import media
from exmcr.banks.bank import Bank
from exmcr.common.errors import BadItem, ConfigError
from exmcr.demo import uploads
from exmcr.kernels.search import topk
from exmcr.methods.maps import Map, identity
from exmcr.methods.registry import METHODS, settings_of
from exmcr.model.exmcr import ExMCR
from exmcr.model.queries import combine

if TYPE_CHECKING:
    from exmcr.project import Project

SPLIT = "test"  # whose items are answers
OWN = "exmcr"  # the trained projectors
BESIDE = ("hop", "procrustes")  # fitted in a moment
ON_DEMAND = ("exmcr+",)  # offered if `exmcr compare` has run it


@dataclass(frozen=True)
class Part:
    """A part of a query.

    modality  of the item
    item      text, or path of an upload
    weight    in the sum; a negative one means "but not"
    """

    modality: str
    item: str | Path
    weight: float = 1.0


class Engine:
    """The model of a project, its methods and its galleries.

    Raises ConfigError if the project has no trained projectors or no encoders.
    """

    def __init__(self, project: "Project", device: str | None = None):
        self.project, self.model = project, ExMCR.from_project(project, device=device)
        self.maps: dict[tuple[str, str], Map] = {}
        self.galleries: dict[tuple[str, str], np.ndarray] = {}

    @cached_property
    def methods(self) -> list[str]:
        """The methods to choose from, Ex-MCR first."""
        run = self._compared()
        return [OWN, *BESIDE, *(name for name in ON_DEMAND if name in run and name in METHODS)]

    @cached_property
    def modalities(self) -> list[str]:
        """The modalities that can be searched: those with a bank of test items."""
        return [
            m for m in self.model.modalities if (self._bank_path(m) / "manifest.json").is_file()
        ]

    def load(self) -> None:
        """Load encoders, banks and maps now, so that every later answer comes at once.

        Encoders load their networks at the first item.
        """
        for modality, item in _new_items().items():
            if modality in self.model.modalities:
                self.model.encode({modality: [item]}, progress=False)
        for method in (OWN, *BESIDE):
            for modality in self.modalities:
                self.gallery(method, modality)

    def answer(
        self, parts: Sequence[Part], modality: str, method: str = OWN, k: int = 6
    ) -> pd.DataFrame:
        """The k items of a modality nearest to the normalized weighted sum of the parts.

        Returns rows of the item table, nearest first, with their cosine as `score`. Raises BadItem
        for a part that cannot be used, ConfigError for no part, weights that cancel each other, and
        unknown names.
        """
        parts = [part for part in parts if part.weight]
        if not parts:
            raise ConfigError("an empty query: type something, or drop a file")
        if modality not in self.modalities:
            raise ConfigError(f"nothing to search of modality '{modality}'")
        vectors = [self.vector(part, method) for part in parts]
        try:
            query = combine(vectors, [part.weight for part in parts])
        except FloatingPointError as error:
            raise ConfigError("the parts of the query cancel each other") from error
        gallery, bank = self.gallery(method, modality), self._bank(modality)
        top = topk(query, gallery, min(k, len(gallery)))
        rows = self._items.loc[bank.ids[top.indices[0]]]
        return rows.assign(score=top.scores[0])

    def vector(self, part: Part, method: str = OWN) -> np.ndarray:
        """One part in the common space of a method, (1, d)."""
        leaf = self.model.leaf_of(part.modality)
        space = self.model.space(leaf or self.model.base)
        if part.modality == "text":
            raw: Any = media.load("text", part.item)
        else:
            raw = uploads.load(part.item, part.modality, **space.windows.get(part.modality, {}))
        vector = space.encode_loaded(part.modality, [raw])
        return self.map_of(method, leaf.name)(vector) if leaf else vector

    def gallery(self, method: str, modality: str) -> np.ndarray:
        """The test items of a modality in the common space of a method, (n, d)."""
        key = (method if self.model.leaf_of(modality) else OWN, modality)
        if key not in self.galleries:
            vectors = np.asarray(self._bank(modality).vectors)
            leaf = self.model.leaf_of(modality)
            self.galleries[key] = self.map_of(method, leaf.name)(vectors) if leaf else vectors
        return self.galleries[key]

    def map_of(self, method: str, leaf: str) -> Map:
        """How a method maps the vectors of a leaf into the base; fitted at the first call.

        Raises ConfigError for a method that is not offered, or that changes the base.
        """
        if method not in self.methods:
            raise ConfigError(f"unknown method '{method}'; known: {', '.join(self.methods)}")
        if method == OWN:
            return lambda vectors: self.model.project(leaf, vectors)
        if (method, leaf) not in self.maps:
            params = self.project.params
            pools = self.project.pools(params.leaf(leaf))
            maps = METHODS[method].fit(pools, 0, **settings_of(params, method, leaf))
            if maps.base is not identity:
                raise ConfigError(f"the demo shows methods that leave the base unchanged: {method}")
            self.maps[method, leaf] = maps.leaf
        return self.maps[method, leaf]

    @cached_property
    def _items(self) -> pd.DataFrame:
        return self.project.items.set_index("id", drop=False)

    def _bank_path(self, modality: str) -> Path:
        space = (self.model.leaf_of(modality) or self.model.base).space
        return self.project.bank_path(space, modality, SPLIT)

    def _bank(self, modality: str) -> Bank:
        space = (self.model.leaf_of(modality) or self.model.base).space
        return self.project.bank(space, modality, SPLIT)

    def _compared(self) -> set[str]:
        """The methods in the table of `exmcr compare`."""
        path = self.project.reports / "compare.csv"
        try:
            return set(pd.read_csv(path).method)
        except (OSError, ValueError, AttributeError):
            return set()


def _new_items() -> dict[str, Any]:
    """A random item of each modality, which no cache of encoder outputs knows."""
    rng = np.random.default_rng()
    sound = (rng.normal(scale=0.1, size=16_000), 16_000)
    return {
        "text": f"text {rng.integers(1 << 62)}",
        "image": rng.integers(0, 256, (64, 64, 3), np.uint8),
        "audio": sound,
        "points": rng.normal(size=(1000, 3)),
        "speech": sound,
    }


def one_line(error: BaseException) -> str:
    """What a visitor reads about an error; an unexpected one is named by its type."""
    text = (
        str(error)
        if isinstance(error, BadItem | ConfigError)
        else f"{type(error).__name__}: {error}"
    )
    return " ".join(text.split())[:300]
