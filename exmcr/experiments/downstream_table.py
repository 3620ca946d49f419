"""The table of the downstream tasks: one row per task, concept subset, method, seed, sound and
metric.

task            localization: exmcr.evaluation.localization; counterfactual canvas and
                counterfactual picture: exmcr.evaluation.counterfactual, on the whole images and on
                the sounding objects cut out
concept_subset  all; seen and unseen in the training sounds, if both occur
method          as in reports/results.csv; `word`: the name of the sounding object in the base
                instead of its sound; `ceiling`: windows scored by how much of them lies in a box,
                the best that windows of these sizes can show
sound           own; other: as a control, a sound that nothing in the image makes
n               number of scenes
value, low, high  the metric and its 95 % bootstrap interval over scenes
chance          as each task defines it
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from exmcr.evaluation import counterfactual, localization
from exmcr.evaluation.metrics import interval
from exmcr.experiments.downstream_scenes import EncodedScenes
from exmcr.methods.maps import Maps, identity

COLUMNS = [
    "task",
    "concept_subset",
    "method",
    "seed",
    "sound",
    "n",
    "metric",
    "value",
    "low",
    "high",
    "chance",
]


def table(scenes: EncodedScenes, methods: dict[tuple[str, int], Maps]) -> pd.DataFrame:
    """The rows of all methods, then those of `word` and `ceiling`.

    methods: {(name, seed): maps of the sounding leaf and of the base}.
    """
    records = []
    for (name, seed), maps in methods.items():
        records += rows(scenes, name, seed, maps.leaf(scenes.sounds), maps.base)
    records += rows(scenes, "word", 0, scenes.words) + ceiling(scenes)
    return pd.DataFrame(records, columns=COLUMNS)


def rows(
    scenes: EncodedScenes,
    method: str,
    seed: int,
    sounds: np.ndarray,
    base: Callable[[np.ndarray], np.ndarray] = identity,
) -> list[dict]:
    """Every row of one method.

    sounds: (n, d), those of the scenes in the common space; base: maps vectors of the base there.
    """
    regions, cutouts = mapped_regions(scenes.regions, base), base(scenes.cutouts)
    own, other = (region_scores(regions, vectors) for vectors in (sounds, sounds[scenes.wrong]))
    records = _localization(scenes, method, seed, "own", own)
    records += _localization(scenes, method, seed, "other", other)
    matched, mismatched = (
        (cutouts * vectors).sum(axis=1) for vectors in (sounds, sounds[scenes.wrong])
    )
    canvases = own.max(axis=1), other.max(axis=1)
    records += _counterfactual(scenes, "counterfactual canvas", method, seed, *canvases)
    records += _counterfactual(scenes, "counterfactual picture", method, seed, matched, mismatched)
    return records


def mapped_regions(regions: np.ndarray, base: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Windows (n, w, d_base) in the common space, (n, w, d)."""
    n, w, dim = regions.shape
    return base(regions.reshape(n * w, dim)).reshape(n, w, -1)


def region_scores(regions: np.ndarray, sounds: np.ndarray) -> np.ndarray:
    """Cosines (n, w) of the windows (n, w, d) of each scene with its sound (n, d)."""
    return np.einsum("nwd,nd->nw", regions, sounds)


def ceiling(scenes: EncodedScenes) -> list[dict]:
    """Rows of the best scores that windows can have: how much of each lies in a box."""
    windows = localization.windows()
    scores = np.stack([localization.share_inside(windows, s.boxes) for s in scenes.scenes])
    return _localization(scenes, "ceiling", 0, "own", scores)


def _localization(
    scenes: EncodedScenes, method: str, seed: int, sound: str, scores: np.ndarray
) -> list[dict]:
    """scores: (n, w), one per window of each scene."""
    boxes = [scene.boxes for scene in scenes.scenes]
    heats, records = localization.heat(scores, localization.windows()), []
    for metric, values in localization.per_scene(heats, boxes).items():
        for subset, which in _concept_subsets(scenes.seen):
            value = (float(values[which].mean()), *interval(values[which]))
            chance = float(scenes.chance[metric][which].mean())
            keys = ("localization", subset, method, seed, sound, len(which), metric)
            records.append(_row(*keys, *value, chance))
    return records


def _counterfactual(
    scenes: EncodedScenes,
    task: str,
    method: str,
    seed: int,
    matched: np.ndarray,
    mismatched: np.ndarray,
) -> list[dict]:
    """matched, mismatched: (n,), the score of each scene with its own and with another sound."""
    records = []
    for subset, which in _concept_subsets(scenes.seen):
        chance = counterfactual.chance(len(which))
        for metric, value in counterfactual.score(matched[which], mismatched[which]).items():
            keys = (task, subset, method, seed, "own", len(which), metric)
            records.append(_row(*keys, *value, chance[metric]))
    return records


def _row(*values) -> dict:
    return dict(zip(COLUMNS, values, strict=True))


def _concept_subsets(seen: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(name, rows of the scenes): all, then seen and unseen concepts if both occur."""
    yield "all", np.arange(len(seen))
    if seen.any() and not seen.all():
        yield "seen", np.flatnonzero(seen)
        yield "unseen", np.flatnonzero(~seen)
