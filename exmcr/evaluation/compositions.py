"""Scenes for sound localization: images in which one object sounds, composed from the items of a
corpus, or frames of VGG-SS with their boxes.

A composition shows several images of one split on a white canvas, each of another concept. One of
them sounds, and its sound is an item of that split too; no composition is ever trained on. The same
items and seed give the same canvases.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from exmcr import media
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.hashing import stable_uniform

CELLS, CELL = 3, 128  # a canvas has 3 x 3 cells of 128 pixels; no two objects share a cell
SMALLEST = 80  # pixels, the longer side of an object; the largest fills its cell
OBJECTS = 4
WHITE = 248  # a margin is where every channel is at least this

Box = tuple[float, float, float, float]  # left, top, right, bottom as fractions of width and height


@dataclass
class Scene:
    """An image in which one object sounds.

    image    uint8 (H, W, 3)
    boxes    where the sounding object is
    sound    id of the audio item
    concept  of the sounding object
    others   concepts of the silent objects; empty if they are not known, as in a photograph
    """

    id: str
    image: np.ndarray
    boxes: list[Box]
    sound: str
    concept: str
    others: tuple[str, ...] = field(default=())


def trim(image: np.ndarray) -> np.ndarray:
    """Without its white margins. Raises BadItem if the whole image is white."""
    rows, columns = (np.flatnonzero(image.min(axis=(axis, 2)) < WHITE) for axis in (1, 0))
    if not len(rows):
        raise BadItem("the image is white")
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def compose(images: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """Put images, uint8 (h, w, 3), at random sizes and places on a canvas, uint8 (384, 384, 3).

    Returns the canvas and the box of each image. Raises ConfigError for more images than cells.
    """
    if len(images) > CELLS**2:
        raise ConfigError(f"a canvas has {CELLS**2} cells, too few for {len(images)} images")
    side = CELLS * CELL
    canvas, boxes = np.full((side, side, 3), 255, np.uint8), []
    for cell, image in zip(rng.permutation(CELLS**2), images, strict=False):
        scale = rng.uniform(SMALLEST, CELL) / max(image.shape[:2])
        height, width = (max(8, round(scale * length)) for length in image.shape[:2])
        top, left = (
            CELL * int(i) + int(rng.integers(CELL - length + 1))
            for i, length in ((cell // CELLS, height), (cell % CELLS, width))
        )
        canvas[top : top + height, left : left + width] = np.asarray(
            Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        )
        boxes.append((left / side, top / side, (left + width) / side, (top + height) / side))
    return canvas, boxes


def scenes(
    items: pd.DataFrame,
    load: Callable[[Any], np.ndarray],
    split: str = "test",
    objects: int = OBJECTS,
    seed: int = 0,
) -> list[Scene]:
    """One composition for each sound of the split whose concept has an image there.

    load(row): loads the image of a row of the item table; one that cannot be read or is white is
    replaced by the next. Raises ConfigError if the split has no such sound, images of fewer
    concepts than `objects`, or too few readable images for any scene.
    """
    held_out = items[items.split == split]
    images = held_out[
        (held_out.modality == "image") & (held_out.of == "") & (held_out.concept != "")
    ]
    sounds = held_out[(held_out.modality == "audio") & held_out.concept.isin(set(images.concept))]
    if not len(sounds):
        raise ConfigError(
            f"no sound of split '{split}' has an image of its concept there; "
            "corpora with both are needed"
        )
    if images.concept.nunique() < objects:
        raise ConfigError(
            f"split '{split}' has images of {images.concept.nunique()} concepts, "
            f"a canvas needs {objects}"
        )
    composed = (_scene(sound, images, load, objects, seed) for sound in sounds.itertuples())
    readable = [scene for scene in composed if scene is not None]
    if not readable:
        raise ConfigError(
            f"no scene can be composed on split '{split}': too few of its images can be read"
        )
    return readable


def _scene(sound, images: pd.DataFrame, load: Callable, objects: int, seed: int) -> Scene | None:
    """The composition of a sound; None if too few images can be read."""
    # Seeded by the id, not the row: a further item in the table changes no other canvas.
    rng = np.random.default_rng([seed, int(stable_uniform(sound.id) * 2**32)])
    drawn = images.iloc[rng.permutation(len(images))]
    own = drawn[drawn.concept == sound.concept]
    others = drawn[drawn.concept != sound.concept].drop_duplicates("concept")
    readable = [*_readable(own, load, 1), *_readable(others, load, objects - 1)]
    if len(readable) < objects or readable[0][0].concept != sound.concept:
        return None
    canvas, boxes = compose([image for _, image in readable], rng)
    silent = tuple(row.concept for row, _ in readable[1:])
    name = f"composition/{sound.id}"
    return Scene(name, canvas, boxes[:1], sound.id, sound.concept, silent)


def _readable(rows: pd.DataFrame, load: Callable, count: int) -> list[tuple[Any, np.ndarray]]:
    """The first `count` rows that can be used, with their trimmed images."""
    readable: list[tuple[Any, np.ndarray]] = []
    for row in rows.itertuples():
        if len(readable) == count:
            break
        try:
            readable.append((row, trim(load(row))))
        except BadItem:
            continue
    return readable


def vggss(root: Path) -> Iterator[Scene]:
    """Frames of VGG-SS that have a box, one at a time; frames that cannot be read are skipped.

    root: folder with the layout that exmcr/corpora/paper/vggss.py describes.
    """
    from exmcr.corpora.paper.vggss import boxes, rows

    known = boxes(root)
    audio = {row["group"]: row for row in rows(root) if row["modality"] == "audio"}
    for row in rows(root):
        group = row["group"]
        if row["modality"] != "image" or not known[group]:
            continue
        try:
            image = media.images.load(Path(row["path"]))
        except BadItem:
            continue
        yield Scene(row["id"], image, known[group], audio[group]["id"], row["concept"])


def mismatched(scenes: Sequence[Scene], seed: int = 0) -> np.ndarray:
    """For each scene another one, whose sound fits nothing in this scene: int (n,).

    Raises ConfigError if there is none.
    """
    rng = np.random.default_rng(seed)
    partners = []
    for n, scene in enumerate(scenes):
        shown = (scene.concept, *scene.others)
        order = rng.permutation(len(scenes))
        silent = [m for m in order if scenes[m].concept not in shown]
        if not silent:
            raise ConfigError(
                f"every sound fits scene {scene.id} ({n + 1} of {len(scenes)}); "
                "more concepts are needed"
            )
        partners.append(int(silent[0]))
    return np.array(partners)
