"""A toy corpus made by code in seconds: the data of notebooks and tests by default.

Eight things, each with pictures (in colors), sounds (of one pitch and timbre) and point clouds.
Scores on it mean nothing.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from exmcr.common.files import atomic_write
from exmcr.corpora import items
from exmcr.media.meshes import sample_mesh
from exmcr.media.sounds import write_wav

THINGS = ("ball", "box", "cone", "ring", "tube", "star", "pyramid", "plate")
UNSEEN = ("pyramid", "plate")  # without sounds and shapes in training
COLORS = ("red", "green", "blue", "orange", "purple", "brown", "black", "gold")
SPLITS = ("train",) * 5 + ("val", "test", "test")  # one per color
RATE = 16_000  # Hz
SOURCE, LICENSE = "toy", "CC0-1.0"


def build(root: Path, paper: Sequence[dict[str, Any]] = ()) -> Path:
    """Make all files under root/data/media and the item table, the same every time. Returns the
    path of the table.

    `paper` is ignored; all corpora are built with the same arguments.
    """
    rows = [
        row
        for thing in THINGS
        for color, split in zip(COLORS, SPLITS, strict=True)
        for row in _make(thing, color, split, root / "data")
    ]
    path = root / "data/items.parquet"
    items.write(rows + _texts(rows), path)
    return path


def _make(thing: str, color: str, split: str, data: Path) -> list[dict[str, Any]]:
    """Write the files of one thing in one color. Returns their rows."""
    number = THINGS.index(thing)
    rng = np.random.default_rng([number, COLORS.index(color)])
    id = f"toy/{thing}-{color}"

    def row(name: str, modality: str, caption: str, suffix: str, of: str = "") -> dict[str, Any]:
        where = {"path": f"media/{id}{suffix}", "split": split, "of": of}
        own = f"{id}/{name}"
        return items.row(own, modality, [caption], thing, SOURCE, LICENSE, group=own, **where)

    _save(_draw(thing, color, rng), data / f"media/{id}.png")
    article = "an" if color[0] in "aeiou" else "a"
    rows = [row("image", "image", f"{article} {color} {thing}", ".png")]
    if thing in UNSEEN and split == "train":
        return rows
    write_wav(data / f"media/{id}.wav", _play(number, rng), RATE)
    with atomic_write(data / f"media/{id}.npy") as draft, draft.open("wb") as file:
        np.save(file, _shape(thing, rng))
    _save(_draw(thing, "gray", rng), data / f"media/{id}-icon.png")
    name = thing if split == "train" else f"{thing} {color}"
    return [
        *rows,
        row("audio", "audio", f"the sound of a {thing}", ".wav"),
        row("points", "points", name, ".npy"),
        row("points/icon", "image", name, "-icon.png", of=f"{id}/points"),
    ]


def _texts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One text per split and distinct caption or concept."""
    concepts = {
        (row["split"], caption): row["concept"]
        for row in rows
        for caption in (row["caption"], row["concept"])
    }
    texts = []
    for n, ((split, caption), concept) in enumerate(concepts.items()):
        id, group = f"text/{split}/{n}", f"text:{split}:{n}"
        texts.append(items.row(id, "text", [caption], concept, SOURCE, LICENSE, group, split=split))
    return texts


def _save(image: Image.Image, path: Path) -> None:
    with atomic_write(path) as draft:
        image.save(draft, "PNG")


def _draw(thing: str, color: str, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(image)
    x, y = rng.integers(36, 60, 2)
    r = int(rng.integers(20, 32))
    box = (x - r, y - r, x + r, y + r)
    if thing == "ball":
        pen.ellipse(box, fill=color)
    elif thing == "ring":
        pen.ellipse(box, outline=color, width=8)
    elif thing == "box":
        pen.rectangle(box, fill=color)
    elif thing == "plate":
        pen.ellipse((x - r, y - r // 4, x + r, y + r // 4), fill=color)
    elif thing == "tube":
        pen.rectangle((x - r // 3, y - r, x + r // 3, y + r), fill=color)
    elif thing == "cone":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=color)
    elif thing == "pyramid":
        pen.polygon([(x, y - r), (x - r, y + r // 2), (x, y + r), (x + r, y + r // 2)], fill=color)
    else:
        turn = np.arange(10) * np.pi / 5 - np.pi / 2
        size = np.where(np.arange(10) % 2, r / 2.5, r)
        pen.polygon(
            [
                (float(x + s * np.cos(t)), float(y + s * np.sin(t)))
                for s, t in zip(size, turn, strict=True)
            ],
            fill=color,
        )
    return image


def _play(number: int, rng: np.random.Generator) -> np.ndarray:
    """One second: pitch and mixture of harmonics depend on the thing, with a little noise."""
    t = np.arange(RATE) / RATE
    pitch = 110 * 2 ** (number / 3) * rng.uniform(0.97, 1.03)
    weights = 1 / (1 + (np.arange(1, 6) - 1) * (number + 1) / 2)
    tone = sum(w * np.sin(2 * np.pi * pitch * k * t) for k, w in enumerate(weights, start=1))
    sound = tone * np.exp(-t * (1 + number % 4)) + 0.01 * rng.standard_normal(len(t))
    return (0.7 * sound / np.abs(sound).max()).astype(np.float32)


def _shape(thing: str, rng: np.random.Generator) -> np.ndarray:
    """A cloud of 2000 points, (2000, 3), of random size."""
    import trimesh

    c = trimesh.creation
    meshes: dict[str, Callable[[], Any]] = {
        "ball": lambda: c.icosphere(subdivisions=2),
        "box": lambda: c.box((1, 1, 1)),
        "cone": lambda: c.cone(0.5, 1),
        "ring": lambda: c.torus(0.5, 0.15),
        "tube": lambda: c.cylinder(0.15, 1),
        "star": lambda: trimesh.util.concatenate(
            [c.box((1, 0.1, 0.1)), c.box((0.1, 1, 0.1)), c.box((0.1, 0.1, 1))]
        ),
        "pyramid": lambda: c.cone(0.5, 0.7, sections=4),
        "plate": lambda: c.cylinder(0.5, 0.05),
    }
    mesh = meshes[thing]()
    seed = int(rng.integers(1 << 30))
    points = sample_mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), 2000, seed)
    return points * np.float32(rng.uniform(0.5, 1.5))
