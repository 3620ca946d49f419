"""Pictures in which one thing sounds: put together from a corpus' own items, or frames of VGG-SS with their boxes.

A composition has several pictures of the asked split on one white canvas, each of another concept; one of them sounds, and its
sound is an item of that split too. No composition is ever trained on. The same items and seed give the same canvases."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from exmcr import media
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.hashing import stable_uniform

CELLS, CELL = 3, 128  # a canvas is 3 x 3 cells of 128 pixels; no two things share a cell
SMALLEST = 80  # pixels, the longer side of a thing; the largest fills its cell
OBJECTS = 4
WHITE = 248  # a margin is where every channel is at least this

Box = tuple[float, float, float, float]  # left, top, right, bottom as fractions of width and height


@dataclass
class Scene:
    """image uint8 (H, W, 3); boxes: where what sounds is; sound: id of the audio item; others: concepts of the silent
    things (empty when nobody listed them, as in a photograph)."""

    id: str
    image: np.ndarray
    boxes: list[Box]
    sound: str
    concept: str
    others: tuple[str, ...] = field(default=())


def trim(image: np.ndarray) -> np.ndarray:
    """Without its white margins. Raises BadItem when nothing but white is left."""
    rows, columns = ((image < WHITE).any(axis=(axis, 2)).nonzero()[0] for axis in (1, 0))
    if not len(rows):
        raise BadItem("the picture is white")
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def compose(pictures: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """Pictures, uint8 (h, w, 3), at random sizes and places -> canvas uint8 (384, 384, 3) and the box of each.

    Raises ConfigError for more pictures than cells."""
    if len(pictures) > CELLS**2:
        raise ConfigError(f"a canvas has {CELLS**2} cells, too few for {len(pictures)} pictures")
    side = CELLS * CELL
    canvas, boxes = np.full((side, side, 3), 255, np.uint8), []
    for cell, picture in zip(rng.permutation(CELLS**2), pictures, strict=False):
        scale = rng.uniform(SMALLEST, CELL) / max(picture.shape[:2])
        height, width = (max(8, round(scale * length)) for length in picture.shape[:2])
        top, left = (
            CELL * int(i) + int(rng.integers(CELL - length + 1))
            for i, length in ((cell // CELLS, height), (cell % CELLS, width))
        )
        canvas[top : top + height, left : left + width] = np.asarray(
            Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        )
        boxes.append((left / side, top / side, (left + width) / side, (top + height) / side))
    return canvas, boxes


def scenes(
    items: pd.DataFrame, load: Callable, split: str = "test", objects: int = OBJECTS, seed: int = 0
) -> list[Scene]:
    """One composition for each sound of the split whose concept has a picture there.

    load(row) brings the picture of a row of the item table into memory; one that cannot be read, or is white, is passed over
    for the next. Raises ConfigError when the split has no such sound, or fewer concepts than `objects`."""
    pictures = items[
        (items.modality == "image")
        & (items.split == split)
        & (items.of == "")
        & (items.concept != "")
    ]
    sounds = items[
        (items.modality == "audio")
        & (items.split == split)
        & items.concept.isin(set(pictures.concept))
    ]
    if not len(sounds):
        raise ConfigError(
            f"no sound of split '{split}' has a picture of its concept there; corpora with both are needed"
        )
    if pictures.concept.nunique() < objects:
        raise ConfigError(
            f"split '{split}' has pictures of {pictures.concept.nunique()} concepts, {objects} are needed on a canvas"
        )
    made = []
    for sound in sounds.itertuples():
        # From the item's name, not its row: another item in the table changes no canvas by its place.
        rng = np.random.default_rng([seed, int(stable_uniform(sound.id) * 2**32)])
        drawn = pictures.iloc[rng.permutation(len(pictures))]
        own, other = (
            drawn[drawn.concept == sound.concept],
            drawn[drawn.concept != sound.concept].drop_duplicates("concept"),
        )
        readable = [*_readable(own, load, 1), *_readable(other, load, objects - 1)]
        if len(readable) < objects or readable[0][0].concept != sound.concept:
            continue
        image, boxes = compose([picture for _, picture in readable], rng)
        made.append(
            Scene(
                f"composition/{sound.id}",
                image,
                boxes[:1],
                sound.id,
                sound.concept,
                tuple(row.concept for row, _ in readable[1:]),
            )
        )
    return made


def _readable(rows: pd.DataFrame, load: Callable, wanted: int) -> list:
    found = []
    for row in rows.itertuples():
        if len(found) == wanted:
            break
        try:
            found.append((row, trim(load(row))))
        except BadItem:
            continue
    return found


def vggss(root: Path) -> Iterator[Scene]:
    """Frames of VGG-SS on disk that have a box (layout: exmcr/corpora/paper/vggss.py), one at a time; unreadable ones are passed over."""
    from exmcr.corpora.paper.vggss import boxes, rows

    known = boxes(root)
    audio = {row["group"]: row for row in rows(root) if row["modality"] == "audio"}
    for row in rows(root):
        if row["modality"] == "image" and known[row["group"]]:
            try:
                image = media.images.load(Path(row["path"]))
            except BadItem:
                continue
            yield Scene(
                row["id"], image, known[row["group"]], audio[row["group"]]["id"], row["concept"]
            )


def mismatched(found: list[Scene], seed: int = 0) -> np.ndarray:
    """For each scene another one, whose sound nothing in this scene makes: rows (n,). Raises ConfigError when there is none."""
    rng = np.random.default_rng(seed)
    partner = []
    for n, scene in enumerate(found):
        silent = [
            m
            for m in rng.permutation(len(found))
            if found[m].concept not in (scene.concept, *scene.others)
        ]
        if not silent:
            raise ConfigError(
                f"every sound fits scene {scene.id} ({n + 1} of {len(found)}); more concepts are needed"
            )
        partner.append(int(silent[0]))
    return np.array(partner)
