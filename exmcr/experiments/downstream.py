"""C-MCR's two other tasks for every method, on compositions of the test items: reports/downstream.csv and a figure.

One row per task, split of concepts, method, seed, sound and metric:
task    localization: exmcr.evaluation.localization; canvas and picture: exmcr.evaluation.counterfactual, on the compositions
        and on the pictures of the sounding things alone
method  as in reports/results.csv; `word`: the name of the sounding thing in the base, instead of its sound; `ceiling`: what
        windows of these sizes can show at all, each scored by how much of it lies in the box
sound   own; other: the same with a sound that nothing on the canvas makes. What is left then owes nothing to hearing
value, low, high   the metric and its 95 % bootstrap interval over the n scenes; chance as each task defines it"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from exmcr.common.errors import BadItem, ConfigError
from exmcr.evaluation import compositions, counterfactual, localization
from exmcr.evaluation.bench import REPORTED, Bench
from exmcr.evaluation.compositions import Scene
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.metrics import interval
from exmcr.evaluation.stage import trained_maps
from exmcr.figures import localization as drawing
from exmcr.methods.maps import Maps, identity
from exmcr.methods.registry import method_named
from exmcr.spaces.base import Space

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
SOUNDING = "audio"


@dataclass
class Asked:
    """Scenes, and vectors in the frozen spaces. regions (n, w, d_base), pictures (n, d_base), words (n, d_base), sounds
    (n, d_leaf); heard (n,): was the concept in the leaf's training sounds?; wrong (n,): whose sound does not fit; expected
    {metric: (n,)}: what random scores of the windows localize."""

    scenes: list[Scene]
    regions: np.ndarray
    pictures: np.ndarray
    words: np.ndarray
    sounds: np.ndarray
    heard: np.ndarray
    wrong: np.ndarray
    expected: dict[str, np.ndarray]


def ask(
    scenes: list[Scene],
    encode: Callable,
    words: np.ndarray,
    sounds: np.ndarray,
    heard: np.ndarray,
    seed: int = 0,
) -> Asked:
    """Scenes with what is known of them, and the rest encoded: every window, and what sounds (its first box) cut out.

    encode: list of pictures -> (len, d_base) unit rows."""
    return Asked(
        scenes=scenes,
        regions=localization.encode_regions(scenes, encode),
        pictures=encode([localization.crops(scene.image, scene.boxes)[0] for scene in scenes]),
        words=words,
        sounds=sounds,
        heard=heard,
        wrong=compositions.mismatched(scenes, seed),
        expected=localization.chance(
            [scene.boxes for scene in scenes], localization.windows(), seed
        ),
    )


def prepare(project, split: str = "test", seed: int = 0) -> Asked:
    """The compositions of a project. Raises ConfigError when no leaf brings sound, or the split lacks what they need."""
    e, leaf = Embeddings(project), project.params.leaf_of(SOUNDING)
    if leaf is None:
        raise ConfigError(
            "sound localization needs a leaf of modality audio; params.yaml names none"
        )
    scenes = compositions.scenes(project.items, project.load_item, split, seed=seed)
    base = project.load_space(project.params.base_space)
    rows = project.items.set_index("id", drop=False).loc[[scene.sound for scene in scenes]]
    words = pd.DataFrame({"modality": "text", "caption": [scene.concept for scene in scenes]})
    train = project.items[(project.items.modality == SOUNDING) & (project.items.split == "train")]
    sounds = e.own(rows)
    heard = rows.concept.isin(set(train.concept)).to_numpy()
    return ask(
        scenes,
        lambda images: base.encode("image", images),
        e.vectors(project.params.base_space, words),
        sounds,
        heard,
        seed,
    )


def vggss(root: Path, base: Space, leaf: Space, seed: int = 0) -> Asked:
    """Frames and sounds of VGG-SS on disk (layout: exmcr/corpora/paper/vggss.py), encoded in the two spaces.

    A clip without a box, or whose frame or sound cannot be read, is passed over."""
    from exmcr.corpora.paper import load_item
    from exmcr.corpora.paper import vggss as reader

    audio = {row["id"]: row for row in reader.rows(root) if row["modality"] == "audio"}
    scenes, sounds = [], []
    for scene in compositions.vggss(root):
        try:
            sounds.append(leaf.encode(SOUNDING, [load_item(audio[scene.sound])])[0])
        except BadItem:
            continue
        scenes.append(scene)
    words = base.encode("text", [scene.concept for scene in scenes])
    return ask(
        scenes,
        lambda images: base.encode("image", images),
        words,
        np.stack(sounds),
        np.zeros(len(scenes), bool),
        seed,
    )


def rows(
    asked: Asked, method: str, seed: int, sounds: np.ndarray, base: Callable = identity
) -> list[dict]:
    """Every row of one method. sounds (n, d): the sounds of the scenes in the common space; base: maps base vectors there."""
    n, w, dim = asked.regions.shape
    regions = base(asked.regions.reshape(n * w, dim)).reshape(n, w, -1)
    pictures = base(asked.pictures)
    own, other = (
        np.einsum("nwd,nd->nw", regions, vectors) for vectors in (sounds, sounds[asked.wrong])
    )
    made = _localization(asked, method, seed, "own", own) + _localization(
        asked, method, seed, "other", other
    )
    fits = {
        "canvas": (own.max(axis=1), other.max(axis=1)),
        "picture": ((pictures * sounds).sum(axis=1), (pictures * sounds[asked.wrong]).sum(axis=1)),
    }
    for task, (matched, mismatched) in fits.items():
        for split, which in _splits(asked.heard):
            expected = counterfactual.chance(len(which))
            for metric, value in counterfactual.score(matched[which], mismatched[which]).items():
                made.append(
                    _row(
                        f"counterfactual {task}",
                        split,
                        method,
                        seed,
                        "own",
                        len(which),
                        metric,
                        value,
                        expected[metric],
                    )
                )
    return made


def _localization(
    asked: Asked, method: str, seed: int, sound: str, scores: np.ndarray
) -> list[dict]:
    windows, boxes = localization.windows(), [scene.boxes for scene in asked.scenes]
    made = []
    for metric, values in localization.per_scene(localization.heat(scores, windows), boxes).items():
        for split, which in _splits(asked.heard):
            value = (float(values[which].mean()), *interval(values[which]))
            made.append(
                _row(
                    "localization",
                    split,
                    method,
                    seed,
                    sound,
                    len(which),
                    metric,
                    value,
                    float(asked.expected[metric][which].mean()),
                )
            )
    return made


def ceiling(asked: Asked) -> list[dict]:
    """Rows of whoever knows the truth, but speaks in windows."""
    scores = np.stack(
        [localization.share_inside(localization.windows(), scene.boxes) for scene in asked.scenes]
    )
    return _localization(asked, "ceiling", 0, "own", scores)


def _row(task, split, method, seed, sound, n, metric, value, chance) -> dict:
    return dict(
        zip(COLUMNS, (task, split, method, seed, sound, n, metric, *value, chance), strict=True)
    )


def _splits(heard: np.ndarray):
    yield "all", np.arange(len(heard))
    if heard.any() and not heard.all():
        yield "seen", np.flatnonzero(heard)
        yield "unseen", np.flatnonzero(~heard)


def table(asked: Asked, methods: dict[tuple[str, int], Maps]) -> pd.DataFrame:
    """methods: (name, seed) -> maps of the sounding leaf and of the base. Returns the table, `word` and `ceiling` last."""
    found = [
        row
        for (name, seed), maps in methods.items()
        for row in rows(asked, name, seed, maps.leaf(asked.sounds), maps.base)
    ]
    return pd.DataFrame(found + rows(asked, "word", 0, asked.words) + ceiling(asked))[COLUMNS]


def methods(project) -> dict[tuple[str, int], Maps]:
    """The methods of the results table on the leaf of sounds, and C-MCR, every seed."""
    leaf, seeds = project.params.leaf_of(SOUNDING), project.params.seeds
    bench = Bench(project, trained=trained_maps(project))
    made = {}
    for name in (*REPORTED, "cmcr"):
        for seed in seeds if method_named(name).seeded else [0]:
            maps = bench.fit(name, seed)
            if leaf.name in maps:
                made[name, seed] = maps[leaf.name]
    return made


def figure(asked: Asked, shown: dict[str, Maps], path=None, canvases: int = 5):
    """Heat maps of a few scenes, spread evenly over all, for each of these methods. Returns the matplotlib figure."""
    which = np.linspace(0, len(asked.scenes) - 1, min(canvases, len(asked.scenes))).astype(int)
    heats = {}
    for name, maps in shown.items():
        regions, sounds = (
            maps.base(asked.regions[which].reshape(-1, asked.regions.shape[-1])),
            maps.leaf(asked.sounds[which]),
        )
        heats[name] = localization.heat(
            np.einsum("nwd,nd->nw", regions.reshape(len(which), -1, sounds.shape[1]), sounds),
            localization.windows(),
        )
    return drawing.localization([asked.scenes[n] for n in which], heats, path)


def run(project) -> pd.DataFrame:
    """The stage `downstream`: writes reports/downstream.csv and reports/figures/downstream.png. Returns the table.

    Without a leaf of sound there is nothing to ask: the table is empty, there is no figure."""
    path = project.reports / "downstream.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    if project.params.leaf_of(SOUNDING) is None:
        empty = pd.DataFrame(columns=COLUMNS)
        empty.to_csv(path, index=False)
        return empty
    asked, found = prepare(project), methods(project)
    result = table(asked, found)
    result.to_csv(path, index=False, float_format="%.6f")
    seed = project.params.seeds[0]
    figure(
        asked,
        {name: found[name, s] for name, s in (("exmcr", seed), ("cmcr", seed), ("hop", 0))},
        project.figures / "downstream.png",
    )
    return result
