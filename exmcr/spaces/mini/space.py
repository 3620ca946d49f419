"""The base class of the mini spaces: cached backbones, then one map per modality, in one file."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import digest
from exmcr.common.paths import project_root
from exmcr.spaces.base import Space
from exmcr.spaces.mini import backbones, towers, vectors
from exmcr.spaces.mini.features import Backbone, Cached
from exmcr.spaces.mini.towers import Arrays, Named, Parts

BACKBONES: dict[str, Callable[[], Backbone]] = {
    "image": backbones.ImageBackbone,
    "text": backbones.TextBackbone,
    "audio": backbones.AudioBackbone,
}
_NAMES: dict[tuple[tuple[str, ...], ...], np.ndarray] = {}  # sentence vectors of classes
VERSION = "mini towers v5"  # of towers.py and of the features of each space


@cache
def _opened(make: Callable[[], Backbone]) -> Backbone:
    """One backbone of each kind per process: spaces share its networks, which open in seconds."""
    return make()


class Captioned(NamedTuple):
    """Training items of one modality.

    features  float32 (n, size)
    texts     sentence vectors of their captions, (n, 384): a mean, if there are several
    groups    of near-duplicates, (n,)
    weights   of the items in the regression (n,), or None for equal ones; steps ignore them
    """

    features: np.ndarray
    texts: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None = None

    def rows(self, chosen: np.ndarray) -> "Captioned":
        """The items with these numbers, (k,)."""
        weights = None if self.weights is None else self.weights[chosen]
        return Captioned(self.features[chosen], self.texts[chosen], self.groups[chosen], weights)


class MiniSpace(Space):
    """A subclass sets modalities, backbone_names and parts, and defines `features` and `classes`.

    parts: modality -> the parts of its feature vector, for all modalities but text.
    """

    dim = towers.DIM
    backbone_names: tuple[str, ...] = ()
    parts: dict[str, Parts] = {}

    def __init__(self, root: Path | None = None):
        """Load the trained space of a project. Raises ConfigError for missing or foreign weights.

        root: project folder; None takes the one at or above the current folder.
        """
        self._open(root)
        self._load()

    @classmethod
    def untrained(cls, root: Path | None = None) -> Self:
        """The space without towers, to be trained by `fit`."""
        space = cls.__new__(cls)
        space._open(root)
        return space

    def _open(self, root: Path | None) -> None:
        self.root = Path(root or project_root())
        self.cache = self.root / "data/features"
        self.file = self.root / "models/spaces" / f"{self.name}.safetensors"
        self.files = (self.file,)
        self._backbones: dict[str, Cached] = {}

    def _load(self) -> None:
        path = self.file.with_suffix(".json")
        for file in (self.file, path):
            if not file.is_file():
                raise ConfigError(
                    f"space '{self.name}' is not trained yet ({file} is missing); "
                    "run `exmcr spaces` or `dvc repro fit_spaces`"
                )
        try:
            settings = json.loads(path.read_text())
            arrays: dict[str, Arrays] = {m: {} for m in self.modalities}
            for name, values in load_file(self.file).items():
                modality, part = name.split(".")
                arrays[modality][part] = values
            self._text = {part: arrays["text"][part] for part in ("center", "map")}
            self._named = {
                m: Named.from_arrays(arrays[m], self.parts[m], settings) for m in self.parts
            }
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ConfigError(
                f"{self.file} or the .json beside it is damaged; run `exmcr spaces` again: {error}"
            ) from error
        known = (self.backbone(name).fingerprint for name in self.backbone_names)
        self.fingerprint = digest(self.file, path, VERSION, *known)

    def backbone(self, name: str) -> Cached:
        """The cached frozen encoder of "image", "text" or "audio", loaded at first use."""
        if name not in self._backbones:
            self._backbones[name] = Cached(_opened(BACKBONES[name]), self.cache)
        return self._backbones[name]

    @property
    def text_map(self) -> Arrays:
        """The map of sentence vectors: see towers.fit_text."""
        return self._text

    def features(self, modality: str, items: list) -> np.ndarray:
        """Loaded items -> float32 (n, size), the input of the modality's tower."""
        raise NotImplementedError

    def classes(self, modality: str) -> list[tuple[str, ...]]:
        """Descriptions of each class whose probability is in the features of a modality."""
        raise NotImplementedError

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Loaded items -> float32 (n, 512), unit rows."""
        features = self.features(modality, items)
        if modality == "text":
            return towers.map_text(self._text, features)
        return self._named[modality](features)

    def fit(
        self,
        captions: np.ndarray,
        items: dict[str, Captioned],
        settings: dict[str, Any],
        same: tuple[str, str, np.ndarray, np.ndarray] | None = None,
    ) -> list[dict]:
        """Fit the towers and store them.

        captions: sentence vectors of the distinct training texts (n, 384). items: modality ->
        captioned items. settings: a block of `fit_spaces` in params.yaml. same: (modality, another,
        rows of the first, rows of the other) that show the same thing: the first learns the looks
        of the other.

        Returns records {"step", "pair", "loss"}, two per modality: see `stage.fit_spaces`. Raises
        ConfigError for a modality without training pairs, and for fewer than two texts.
        """
        if len(captions) < 2:  # their center would be the only one, and its vector zero
            raise ConfigError(
                f"space '{self.name}' has {len(captions)} distinct training text, and needs 2: "
                "check `corpora` and `fit_spaces` in params.yaml"
            )
        self._text = towers.fit_text(captions, settings["whiten"], settings["seed"])
        self._named, records = {}, []
        for modality, training in items.items():
            looks = None
            if same and same[0] == modality and settings["looks"]:
                _, other, own_rows, other_rows = same
                if not len(own_rows):
                    raise ConfigError(
                        f"space '{self.name}' has no training pairs {modality}-{other}: "
                        "check `corpora`, or set `looks: 0` for it under `fit_spaces`"
                    )
                training = training.rows(own_rows)
                looks = self._named[other].look(items[other].features[other_rows])
            targets = towers.map_text(self._text, training.texts)
            tower = Named.fit(
                training.features,
                targets,
                self._names(modality),
                self._text,
                self.parts[modality],
                settings,
                training.weights,
                looks,
                training.groups,
            )
            self._named[modality] = tower
            for step, encode in (("names", tower.start), ("fitted", tower.meaning)):
                cosines = (encode(training.features) * targets).sum(axis=1)
                loss = float(1 - cosines.mean())
                records.append({"step": step, "pair": f"{modality}-text", "loss": loss})
        self._store(settings)
        return records

    def _names(self, modality: str) -> np.ndarray:
        """Mean sentence vector of the descriptions of each class (c, 384), unit rows.

        Computed once per process.
        """
        classes = tuple(self.classes(modality))
        if classes not in _NAMES:
            texts = self.backbone("text")([text for own in classes for text in own])
            ends = np.cumsum([len(own) for own in classes])[:-1]
            _NAMES[classes] = vectors.unit(
                np.stack([rows.mean(axis=0) for rows in np.split(texts, ends)])
            )
        return _NAMES[classes]

    def _store(self, settings: dict[str, Any]) -> None:
        state = {f"text.{part}": values for part, values in self._text.items()}
        for modality, tower in self._named.items():
            state |= {f"{modality}.{part}": values for part, values in tower.arrays.items()}
        with atomic_write(self.file) as draft:
            save_file(state, draft)
        write_json(self.file.with_suffix(".json"), settings)
