"""Which items train which mini space, and the training of the three. Called by notebooks/00_spaces.ipynb."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import BadItem
from exmcr.corpora.items import load_item
from exmcr.media.sounds import Sound
from exmcr.spaces.mini.audio_text import MiniAudioText
from exmcr.spaces.mini.image_text import MiniImageText
from exmcr.spaces.mini.points import MiniPoints
from exmcr.spaces.mini.space import MiniSpace
from exmcr.spaces.mini.towers import Pairs

SPEEDS = (1.0, 0.84, 1.19)  # a sound is also heard three semitones lower and higher
BATCH = 128  # items per write of the feature cache


def _features(
    space: MiniSpace, items: pd.DataFrame, data: Path, change=None
) -> tuple[np.ndarray, list[str]]:
    """Features of items that can be read, and their ids, through the cache."""
    rows, ids = [], []
    for start in tqdm(
        range(0, len(items), BATCH),
        desc=f"{space.name} {items.modality.iloc[0]} features",
        unit="batch",
    ):
        loaded = []
        for item in items.iloc[start : start + BATCH].itertuples():
            try:
                raw = load_item(item, data)
            except BadItem:
                continue  # extraction counts and names them
            loaded.append(change(raw) if change else raw)
            ids.append(item.id)
        if loaded:
            rows.append(space.features(items.modality.iloc[0], loaded))
    return np.concatenate(rows), ids


class _Texts:
    """Captions as rows of one feature matrix."""

    def __init__(self):
        self.row: dict[str, int] = {}

    def rows(self, captions) -> np.ndarray:
        return np.array([self.row.setdefault(c, len(self.row)) for c in captions if c])

    def features(self, space: MiniSpace) -> np.ndarray:
        return space.features("text", list(self.row))


def fit_image_text(
    items: pd.DataFrame, root: Path, settings: dict, sources: list[str]
) -> list[dict]:
    """The base, on captioned pictures of these sources. Returns the losses per epoch."""
    space = MiniImageText(root, trained=False)
    train = items[
        (items.modality == "image") & (items.split == "train") & items.source.isin(sources)
    ]
    pictures, ids = _features(space, train, root / "data")
    texts = _Texts()
    captions = [texts.rows(c) for c in train.set_index("id").captions[ids]]
    pairs = [Pairs("image", "text", np.arange(len(ids)), captions, np.arange(len(ids)))]
    return space.fit({"image": pictures, "text": texts.features(space)}, pairs, settings)


def fit_audio_text(items: pd.DataFrame, root: Path, settings: dict) -> list[dict]:
    """The sound leaf, on captioned sounds at three speeds. Returns the losses per epoch."""
    space = MiniAudioText(root, trained=False)
    train = items[(items.modality == "audio") & (items.split == "train")]
    texts = _Texts()
    sounds, captions, concepts = [], [], []
    for speed in SPEEDS:
        features, ids = _features(
            space, train, root / "data", lambda s, v=speed: Sound(s.samples, int(s.rate * v))
        )
        sounds.append(features)
        rows = train.set_index("id").loc[ids]
        captions += [texts.rows([*r.captions, r.concept]) for r in rows.itertuples()]
        concepts += rows.concept.tolist()
    sounds = np.concatenate(sounds)
    pairs = [
        Pairs(
            "audio", "text", np.arange(len(sounds)), captions, pd.factorize(np.array(concepts))[0]
        )
    ]
    return space.fit({"audio": sounds, "text": texts.features(space)}, pairs, settings)


def fit_points(items: pd.DataFrame, root: Path, settings: dict, sources: list[str]) -> list[dict]:
    """The 3D leaf, on models with icon and name, and captioned pictures of `sources` for its image side."""
    space = MiniPoints(root, trained=False)
    train = items[items.split == "train"]
    models = train[train.modality == "points"]
    pictured = train[(train.modality == "image") & ((train.of != "") | train.source.isin(sources))]
    clouds, cloud_ids = _features(space, models, root / "data")
    pictures, picture_ids = _features(space, pictured, root / "data")
    texts = _Texts()
    captions = train.set_index("id").captions
    of = pictured.set_index("id").of
    icon_row = {of[i]: n for n, i in enumerate(picture_ids) if of[i]}
    with_icon = [(n, icon_row[i]) for n, i in enumerate(cloud_ids) if i in icon_row]
    named = pd.factorize(captions[cloud_ids].str[0].to_numpy())[0]
    shown = np.arange(len(picture_ids))
    pairs = [
        Pairs(
            "points",
            "text",
            np.arange(len(cloud_ids)),
            [texts.rows(captions[i]) for i in cloud_ids],
            named,
        ),
        Pairs(
            "points",
            "image",
            np.array([a for a, _ in with_icon]),
            [np.array([b]) for _, b in with_icon],
            np.arange(len(with_icon)),
        ),
        Pairs("image", "text", shown, [texts.rows(captions[i]) for i in picture_ids], shown),
    ]
    return space.fit(
        {"points": clouds, "image": pictures, "text": texts.features(space)}, pairs, settings
    )


def overlap_of_training_items(items: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """How many training items each two mini spaces share: a square table; the diagonal is a space's own number."""
    train = items[items.split == "train"]
    pictures, sounds, models = (train[train.modality == m] for m in ("image", "audio", "points"))
    used = {
        "mini-image-text": set(pictures[pictures.source.isin(settings["base_sources"])].id),
        "mini-audio-text": set(sounds.id),
        "mini-points": set(models.id)
        | set(pictures[(pictures.of != "") | pictures.source.isin(settings["points_sources"])].id),
    }
    return pd.DataFrame(
        [[len(used[a] & used[b]) for b in used] for a in used], list(used), list(used)
    )
