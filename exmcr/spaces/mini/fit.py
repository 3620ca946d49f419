"""The training items of each mini space. Called by stage.py."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.corpora.items import load_item
from exmcr.media import videos
from exmcr.media.ahead import load_ahead
from exmcr.media.chunks import in_chunks
from exmcr.spaces.mini import vectors
from exmcr.spaces.mini.audio_text import MiniAudioText
from exmcr.spaces.mini.image_text import MiniImageText
from exmcr.spaces.mini.points import MiniPoints
from exmcr.spaces.mini.space import Captioned, MiniSpace

BATCH = 128  # items per write of the feature cache, fewer if they are large


def fit_image_text(
    items: pd.DataFrame, root: Path, settings: dict[str, Any], sources: list[str]
) -> list[dict]:
    """Fit the base on captioned images of these sources.

    items: the item table. root: project folder. settings: see MiniSpace.fit. Returns its records,
    one per modality.
    """
    space = MiniImageText.untrained(root)
    train = training_items(items, "image")
    images, rows = features_of(space, train[train.source.isin(sources)], root / "data")
    texts = Texts(space, rows, nouns=settings["nouns"])
    return space.fit(texts.vectors, {"image": captioned(images, texts, rows)}, settings)


def fit_audio_text(items: pd.DataFrame, root: Path, settings: dict[str, Any]) -> list[dict]:
    """Fit the audio leaf on captioned sounds. See `fit_image_text`.

    A sound counts less if there are many of its noun.
    """
    space = MiniAudioText.untrained(root)
    sounds, rows = features_of(space, training_items(items, "audio"), root / "data")
    texts = Texts(space, rows, nouns=settings["nouns"])
    number = rows.groupby("concept").id.transform("count").to_numpy(np.float64)
    number[(rows.concept == "").to_numpy()] = 1
    weights = number**-0.5
    sounds_with_texts = captioned(sounds, texts, rows, weights / weights.mean())
    return space.fit(texts.vectors, {"audio": sounds_with_texts}, settings)


def fit_points(
    items: pd.DataFrame, root: Path, settings: dict[str, Any], sources: list[str]
) -> list[dict]:
    """Fit the 3D leaf on named shapes with an icon, and on captioned images of `sources` and the
    icons for its image side. See `fit_image_text`."""
    space = MiniPoints.untrained(root)
    images = training_items(items, "image")
    images = images[(images["of"] != "") | images.source.isin(sources)]
    clouds, shapes = features_of(space, training_items(items, "points"), root / "data")
    pictures, images = features_of(space, images, root / "data")
    texts = Texts(space, shapes, images, nouns=settings["nouns"])
    icon = {of: row for row, of in enumerate(images["of"]) if of}
    with_icon = [(row, icon[id]) for row, id in enumerate(shapes.id) if id in icon]
    own, other = np.array(with_icon, int).reshape(-1, 2).T
    training = {
        "image": captioned(pictures, texts, images),
        "points": captioned(clouds, texts, shapes),
    }
    return space.fit(texts.vectors, training, settings, ("points", "image", own, other))


def overlap_of_training_items(items: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """Number of training items that two mini spaces share: a square table.

    The diagonal is the number of training items of each space. settings: `fit_spaces` of
    params.yaml.
    """
    images, sounds, shapes = (training_items(items, m) for m in ("image", "audio", "points"))
    base = images[images.source.isin(settings["base_sources"])]
    of_points = images[(images["of"] != "") | images.source.isin(settings["points_sources"])]
    used = {
        "mini-image-text": set(base.id),
        "mini-audio-text": set(sounds.id),
        "mini-points": {*shapes.id, *of_points.id},
    }
    counts = [[len(used[a] & used[b]) for b in used] for a in used]
    return pd.DataFrame(counts, list(used), list(used))


def training_items(items: pd.DataFrame, modality: str) -> pd.DataFrame:
    """The captioned ones; items without a caption are in the pools of Ex-MCR only.

    In a corpus that has labels instead of captions, such as ImageNet, the concept is the caption.
    """
    train = items[(items.modality == modality) & (items.split == "train")]
    if (train.caption != "").any():
        return train[train.caption != ""]
    labeled = train[train.concept != ""]
    return labeled.assign(caption=labeled.concept, captions=[[c] for c in labeled.concept])


def features_of(
    space: MiniSpace, items: pd.DataFrame, data: Path
) -> tuple[np.ndarray, pd.DataFrame]:
    """Features of the usable items of one modality, and their rows.

    Raises ConfigError if no item is usable.
    """
    modality, parts, ids = "".join(items.modality.unique()), [], []
    loaded = tqdm(
        _loaded(items, data),
        f"{space.name} {modality} features",
        len(items),
        unit="item",
        disable=None,  # shown in a terminal only
    )
    for chunk in in_chunks(loaded, BATCH):
        ids += [id for id, _ in chunk]
        parts.append(space.features(modality, [item for _, item in chunk]))
        del chunk  # while the next one is loaded
    if not parts:
        raise ConfigError(
            f"space '{space.name}' has no usable training items: check `corpora`, `sample` and "
            "`fit_spaces`"
        )
    return np.concatenate(parts), items[items.id.isin(ids)]


def _loaded(items: pd.DataFrame, data: Path) -> Iterator[tuple[str, Any]]:
    """(id, loaded item) of the usable items. Extraction counts and names the others.

    Of a video, the middle frame.
    """
    stream = load_ahead(lambda item: load_item(item, data), list(items.itertuples()), BATCH)
    with closing(stream):
        for item, loaded, reason in stream:
            if reason is None:
                yield item.id, videos.still(loaded)


def captioned(
    features: np.ndarray, texts: "Texts", rows: pd.DataFrame, weights: np.ndarray | None = None
) -> Captioned:
    """Training items of a space. features: (n, size). rows: of the item table. weights: (n,)."""
    return Captioned(features, texts.of(rows), rows.group.to_numpy(), weights)


class Texts:
    """The texts of training items.

    vectors   sentence vectors of the distinct captions, and nouns if these count (n, 384)
    nouns     how much the noun of an item counts beside the mean of its captions
    """

    def __init__(self, space: MiniSpace, *tables: pd.DataFrame, nouns: float = 0.0):
        self.nouns = nouns
        texts = {text for rows in tables for row in rows.itertuples() for text in self._own(row)}
        self._row = {text: n for n, text in enumerate(sorted(texts))}
        self.vectors = space.features("text", list(self._row))

    def of(self, rows: pd.DataFrame) -> np.ndarray:
        """What each item is said to be: the mean of its distinct captions, plus `nouns` times its
        noun, (n, 384), unit rows."""
        return vectors.unit(np.stack([self._target(row) for row in rows.itertuples()]))

    def _target(self, item: Any) -> np.ndarray:
        captions = [self._row[caption] for caption in sorted(set(item.captions)) if caption]
        mean = self.vectors[captions].mean(axis=0)
        if not self.nouns or not item.concept:
            return mean
        return mean + self.nouns * self.vectors[self._row[item.concept]]

    def _own(self, item: Any) -> set[str]:
        """The texts of an item that have a vector."""
        return {*item.captions, item.concept if self.nouns else ""} - {""}
