"""The fitted part of a mini space: one map per modality, from backbone features onto the sphere.

Text is mapped linearly. The vector of an image, a sound or a shape starts from names: a frozen
classifier names the item, and the sentence vectors of these names say where it belongs among the
texts. A kernel regression of the remaining error, fitted on captioned items, corrects it. Far from
all training items the correction fades, and the names alone decide: so things that the training
never showed keep the place of their name. Where there are thousands of captions, a linear map
trained by InfoNCE follows (linear.py). The rest is fitted in closed form, in float64.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve

from exmcr.spaces.mini import linear
from exmcr.spaces.mini.vectors import principal_axes, unit

DIM = 512
TEXT = 384  # length of sentence vectors; the other axes of the sphere hold looks
LOOKS = DIM - TEXT
ROWS = 1000  # training items whose distances set the width of the kernel
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Parts:
    """The parts of the feature vector of an item.

    scores    class probabilities; None for text, whose features are sentence vectors
    appearance  what the kernel compares
    looks     a part of `appearance` that two modalities share; None if there is none
    """

    scores: slice
    appearance: slice
    looks: slice | None = None


def fit_text(captions: np.ndarray, whiten: float, seed: int) -> Arrays:
    """The map of sentence vectors: normalize((t - mean) C^-whiten R).

    captions: training texts (n, 384). C is their covariance plus a tenth of its mean variance, R a
    random rotation into the first 384 axes of the sphere. whiten: 0 to 0.5; 0 keeps similarities.
    """
    mean = captions.mean(axis=0, dtype=np.float64)
    variance, axes = np.linalg.eigh((captions - mean).T @ (captions - mean) / len(captions))
    variance = np.maximum(variance, 0) + 0.1 * variance.mean() + 1e-9
    whitened = (axes * (variance / variance.mean()) ** -whiten) @ axes.T
    return {"center": _single(mean), "map": _single(whitened @ rotation(seed)[:TEXT])}


def map_text(arrays: Arrays, features: np.ndarray) -> np.ndarray:
    """Sentence vectors (n, 384) -> float32 (n, 512), unit rows."""
    return unit((features - arrays["center"]) @ arrays["map"])


class Named:
    """The map of a modality whose items have class names.

    m = normalize(start + k(x, anchors) B), where `start` maps the sentence vector of the names and
    k is a Gaussian kernel on the appearance x; with steps, normalize(m + x M - c). With looks, a
    second part of norm `looks` is added on the 128 axes that texts leave empty: a projection of the
    appearance, or a regression onto it.
    """

    def __init__(self, arrays: Arrays, parts: Parts, settings: dict[str, Any]):
        self.arrays, self.parts, self.settings = arrays, parts, settings

    @classmethod
    def from_arrays(cls, arrays: Arrays, parts: Parts, settings: dict[str, Any]) -> "Named":
        """A stored tower. Raises KeyError if an array or a setting is missing."""
        needed = ["names", "prior", "map", "center", "anchors", "width", "correction"]
        needed += ["linear", "offset"] if settings["steps"] else []
        if settings["looks"]:
            needed += ["free", *(["look_center", "look_axes"] if parts.looks else [])]
            needed += [] if parts.looks else ["look_correction"]
        for key in needed:
            arrays[key]
        for key in ("names", "prior", "power"):
            settings[key]
        return cls(arrays, parts, settings)

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        targets: np.ndarray,
        names: np.ndarray,
        text: Arrays,
        parts: Parts,
        settings: dict[str, Any],
        weights: np.ndarray | None = None,
        looks: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> "Named":
        """Fit on training items.

        features: (n, size). targets: vectors of their captions on the sphere (n, 512). names:
        sentence vectors of the classes (c, 384). text: the arrays of `fit_text`. weights: of the
        items in the regression (n,); default 1. looks: what the looks of the items shall be
        (n, 128), as `look` of another modality returns it; None takes the principal axes of
        parts.looks. groups: of near-duplicates (n,), for the steps; default one for each item.
        """
        appearance = features[:, parts.appearance]
        arrays: Arrays = {
            "names": _single(names),
            "prior": _single(features[:, parts.scores].mean(axis=0)),
            "map": text["map"],
            "anchors": _single(appearance),
        }
        tower = cls(arrays, parts, settings)
        arrays["center"] = _single(tower._sentences(features).mean(axis=0))
        every = max(1, len(features) // ROWS)
        distances = _squared_distances(appearance[::every], appearance)
        arrays["width"] = _single(settings["width"] * max(float(np.median(distances)), 1e-6))
        goals = [targets - tower.start(features)]
        if settings["looks"]:
            arrays["free"] = _single(rotation(settings["seed"])[TEXT:])
        if settings["looks"] and looks is None:
            shown = features[:, parts.looks]
            arrays["look_center"] = _single(shown.mean(axis=0))
            arrays["look_axes"] = _single(_padded(principal_axes(shown, LOOKS)))
        elif settings["looks"]:
            goals.append(looks)
        kernel = tower._kernel(features).astype(np.float64)
        ridge = settings["ridge"] / (np.ones(len(features)) if weights is None else weights)
        kernel[np.diag_indices_from(kernel)] += ridge
        if settings["steps"]:
            groups = np.arange(len(features)) if groups is None else groups
            vectors = unit(tower.start(features) + linear.held_out(kernel, goals[0], groups))
            matrix, offset = linear.fit(vectors, appearance, targets, settings)
            arrays |= {"linear": _single(matrix), "offset": _single(offset)}
        goal = np.concatenate(goals, axis=1)
        solved = solve(kernel, goal, assume_a="pos", overwrite_a=True, check_finite=False)
        arrays["correction"] = _single(solved[:, :DIM])
        if len(goals) == 2:
            arrays["look_correction"] = _single(solved[:, DIM:])
        return tower

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n, size) -> float32 (n, 512), unit rows."""
        meaning = self.meaning(features)
        if not self.settings["looks"]:
            return meaning
        return unit(meaning + self.settings["looks"] * (self.look(features) @ self.arrays["free"]))

    def meaning(self, features: np.ndarray) -> np.ndarray:
        """The part on the axes of the texts: (n, size) -> float32 (n, 512), unit rows."""
        fitted = unit(self.start(features) + self._kernel(features) @ self.arrays["correction"])
        if "linear" not in self.arrays:
            return fitted
        appearance = features[:, self.parts.appearance]
        return unit(fitted + (appearance @ self.arrays["linear"] - self.arrays["offset"]))

    def start(self, features: np.ndarray) -> np.ndarray:
        """The place of the names: (n, size) -> float32 (n, 512), unit rows."""
        return unit((self._sentences(features) - self.arrays["center"]) @ self.arrays["map"])

    def look(self, features: np.ndarray) -> np.ndarray:
        """The looks of items: (n, size) -> float32 (n, 128), unit rows."""
        if "look_axes" in self.arrays:
            shown = features[:, self.parts.looks] - self.arrays["look_center"]
            return unit(shown @ self.arrays["look_axes"].T)
        return unit(self._kernel(features) @ self.arrays["look_correction"])

    def _sentences(self, features: np.ndarray) -> np.ndarray:
        """Mean sentence vector of the likeliest names, (n, 384), unit rows.

        A class counts by how much likelier it is than for an average training item. Without this,
        classes that fit nearly everything ("Music") would speak for every item.
        """
        settings, scores = self.settings, features[:, self.parts.scores]
        ratio = scores / (self.arrays["prior"] + np.float32(settings["prior"]))
        few = min(settings["names"], ratio.shape[1])
        top = np.argpartition(-ratio, few - 1, axis=1)[:, :few]
        strength = np.take_along_axis(ratio, top, axis=1) ** np.float32(settings["power"])
        weight = np.zeros_like(ratio)
        np.put_along_axis(weight, top, strength, axis=1)
        return unit(weight @ self.arrays["names"])

    def _kernel(self, features: np.ndarray) -> np.ndarray:
        """Similarity to the training items: (n, size) -> float32 (n, anchors)."""
        appearance = features[:, self.parts.appearance]
        distances = _squared_distances(appearance, self.arrays["anchors"])
        return np.exp(-distances / self.arrays["width"])


def rotation(seed: int) -> np.ndarray:
    """A random rotation of the sphere (512, 512). Spaces of different seeds share no axes."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(DIM, DIM)))[0]


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)
    return np.maximum(squares - 2 * (a @ b.T), 0)


def _padded(axes: np.ndarray) -> np.ndarray:
    """Principal axes (k, d) with rows of zeros up to 128, for fewer than 128 training items."""
    return np.pad(axes, ((0, LOOKS - len(axes)), (0, 0)))


def _single(values: Any) -> np.ndarray:
    """float32, contiguous: safetensors stores the memory of an array as it lies there."""
    return np.ascontiguousarray(values, np.float32)
