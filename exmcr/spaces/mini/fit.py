"""The training items and pairs of each mini space. Called by stage.py."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import BadItem, ConfigError
from exmcr.corpora.items import load_item
from exmcr.media.sounds import Sound
from exmcr.spaces.mini.audio_text import MiniAudioText
from exmcr.spaces.mini.image_text import MiniImageText
from exmcr.spaces.mini.points import MiniPoints
from exmcr.spaces.mini.space import MiniSpace
from exmcr.spaces.mini.towers import Pairs

SPEEDS = (1.0, 0.84, 1.19)  # augmentation: a sound as it is, and three semitones lower and higher
BATCH = 128  # items per write of the feature cache


def fit_image_text(
    items: pd.DataFrame, root: Path, settings: dict[str, Any], sources: list[str]
) -> list[dict]:
    """Train the base on captioned images of these sources.

    items: the item table. root: project folder. settings: see MiniSpace.fit. Returns the losses,
    one record per epoch.
    """
    space = MiniImageText.untrained(root)
    train = _training_items(items, "image")
    train = train[train.source.isin(sources)]
    images, ids = _features(space, train, root / "data")
    texts = _Texts()
    captions = [texts.rows(c) for c in train.set_index("id").captions[ids]]
    rows = np.arange(len(ids))
    pairs = [Pairs("image", "text", rows, captions, rows)]
    return space.fit({"image": images, "text": texts.features(space)}, pairs, settings)


def fit_audio_text(items: pd.DataFrame, root: Path, settings: dict[str, Any]) -> list[dict]:
    """Train the audio leaf on captioned sounds at three speeds. See `fit_image_text`."""
    space = MiniAudioText.untrained(root)
    train = _training_items(items, "audio")
    texts = _Texts()
    parts, captions, concepts = [], [], []
    for speed in SPEEDS:
        change = lambda s, speed=speed: Sound(s.samples, int(s.rate * speed))
        features, ids = _features(space, train, root / "data", change)
        parts.append(features)
        rows = train.set_index("id").loc[ids]
        captions += [texts.rows([*row.captions, row.concept]) for row in rows.itertuples()]
        concepts += rows.concept.tolist()
    sounds = np.concatenate(parts)
    same_concept = pd.factorize(np.array(concepts))[0]
    pairs = [Pairs("audio", "text", np.arange(len(sounds)), captions, same_concept)]
    return space.fit({"audio": sounds, "text": texts.features(space)}, pairs, settings)


def fit_points(
    items: pd.DataFrame, root: Path, settings: dict[str, Any], sources: list[str]
) -> list[dict]:
    """Train the 3D leaf on shapes with icon and name, and on captioned images of `sources` for its
    image side. See `fit_image_text`."""
    space = MiniPoints.untrained(root)
    shapes, images = _training_items(items, "points"), _training_items(items, "image")
    images = images[(images["of"] != "") | images.source.isin(sources)]
    cloud_features, shape_ids = _features(space, shapes, root / "data")
    image_features, image_ids = _features(space, images, root / "data")
    texts = _Texts()
    captions = items[items.split == "train"].set_index("id").captions
    shape_of = images.set_index("id")["of"]
    icon_row = {shape_of[id]: row for row, id in enumerate(image_ids) if shape_of[id]}
    with_icon = [(row, icon_row[id]) for row, id in enumerate(shape_ids) if id in icon_row]
    same_name = pd.factorize(captions[shape_ids].str[0].to_numpy())[0]
    shape_texts = [texts.rows(captions[id]) for id in shape_ids]
    image_texts = [texts.rows(captions[id]) for id in image_ids]
    shape_rows = np.array([row for row, _ in with_icon])
    icon_rows = [np.array([row]) for _, row in with_icon]
    each_image, each_pair = np.arange(len(image_ids)), np.arange(len(with_icon))
    pairs = [
        Pairs("points", "text", np.arange(len(shape_ids)), shape_texts, same_name),
        Pairs("points", "image", shape_rows, icon_rows, each_pair),
        Pairs("image", "text", each_image, image_texts, each_image),
    ]
    features = {"points": cloud_features, "image": image_features, "text": texts.features(space)}
    return space.fit(features, pairs, settings)


def overlap_of_training_items(items: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """Number of training items that two mini spaces share: a square table.

    The diagonal is the number of training items of each space. settings: `fit_spaces` of
    params.yaml.
    """
    images, sounds, shapes = (_training_items(items, m) for m in ("image", "audio", "points"))
    base = images[images.source.isin(settings["base_sources"])]
    of_points = images[(images["of"] != "") | images.source.isin(settings["points_sources"])]
    used = {
        "mini-image-text": set(base.id),
        "mini-audio-text": set(sounds.id),
        "mini-points": {*shapes.id, *of_points.id},
    }
    counts = [[len(used[a] & used[b]) for b in used] for a in used]
    return pd.DataFrame(counts, list(used), list(used))


def _training_items(items: pd.DataFrame, modality: str) -> pd.DataFrame:
    return items[(items.modality == modality) & (items.split == "train")]


def _features(
    space: MiniSpace, items: pd.DataFrame, data: Path, change: Callable | None = None
) -> tuple[np.ndarray, list[str]]:
    """Features of the usable items of one modality, and their ids.

    change: applied to each loaded item. Raises ConfigError if no item is usable.
    """
    modality, rows, ids = "".join(items.modality.unique()), [], []
    starts = range(0, len(items), BATCH)
    for start in tqdm(starts, desc=f"{space.name} {modality} features", unit="batch"):
        loaded = []
        for item in items.iloc[start : start + BATCH].itertuples():
            try:
                raw = load_item(item, data)
            except BadItem:
                continue  # extraction counts and names them
            loaded.append(change(raw) if change else raw)
            ids.append(item.id)
        if loaded:
            rows.append(space.features(modality, loaded))
    if not rows:
        raise ConfigError(
            f"space '{space.name}' has no usable training items: check `corpora` and `fit_spaces`"
        )
    return np.concatenate(rows), ids


class _Texts:
    """Distinct captions as rows of one feature matrix."""

    def __init__(self) -> None:
        self.row: dict[str, int] = {}

    def rows(self, captions: Iterable[str]) -> np.ndarray:
        """Row numbers of the captions that are not empty."""
        return np.array([self.row.setdefault(c, len(self.row)) for c in captions if c])

    def features(self, space: MiniSpace) -> np.ndarray:
        return space.features("text", list(self.row))
