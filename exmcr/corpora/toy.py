"""A toy corpus drawn, played and modeled by code in seconds: what notebooks and tests run on when left alone.

Eight things, each with pictures (in colors), sounds (a pitch and a timbre of its own) and clouds. Its scores mean nothing."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from exmcr.corpora import items as table
from exmcr.corpora.mini.build import _write_wav
from exmcr.media.meshes import sample_mesh

THINGS = ("ball", "box", "cone", "ring", "tube", "star", "pyramid", "plate")
COLORS = ("red", "green", "blue", "orange", "purple", "brown", "black", "gold")
SPLITS = ("train",) * 5 + ("val", "test", "test")  # one per color
RATE = 16_000


def build(root: Path, paper: list[dict] = ()) -> Path:
    """Make everything under root/data; returns the path of the item table. The same files every time."""
    media = root / "data/media"
    rows = []
    for number, thing in enumerate(THINGS):
        for color, split in zip(COLORS, SPLITS, strict=True):
            rng = np.random.default_rng([number, COLORS.index(color)])
            id = f"toy/{thing}-{color}"
            caption = f"a {color} {thing}"
            # The last two things are never heard, nor their names modeled, in training.
            unheard = number >= len(THINGS) - 2 and split == "train"
            common = dict(source="toy", license="CC0-1.0")
            icon = media / f"{id}.png"
            icon.parent.mkdir(parents=True, exist_ok=True)
            _draw(thing, color, rng).save(icon)
            rows.append(_row(f"{id}/image", "image", caption, thing, icon, root, split, **common))
            if unheard:
                continue
            wav = media / f"{id}.wav"
            _write_wav(wav, _play(number, rng), RATE)
            rows.append(
                _row(
                    f"{id}/audio",
                    "audio",
                    f"the sound of a {thing}",
                    thing,
                    wav,
                    root,
                    split,
                    **common,
                )
            )
            npy = media / f"{id}.npy"
            np.save(npy, _model(thing, rng))
            name = f"{thing} {'' if split == 'train' else color}".strip()
            rows.append(_row(f"{id}/points", "points", name, thing, npy, root, split, **common))
            render = media / f"{id}-icon.png"
            _draw(thing, "gray", rng).save(render)
            rows.append(
                _row(
                    f"{id}/points/icon",
                    "image",
                    name,
                    thing,
                    render,
                    root,
                    split,
                    of=f"{id}/points",
                    **common,
                )
            )
    words = {(r["split"], c): r["concept"] for r in rows for c in (r["caption"], r["concept"])}
    for n, ((split, caption), concept) in enumerate(words.items()):
        rows.append(
            table.row(
                f"text/{split}/{n}",
                "text",
                [caption],
                concept,
                "toy",
                "CC0-1.0",
                f"text:{split}:{n}",
                split=split,
            )
        )
    path = root / "data/items.parquet"
    table.write(rows, path)
    return path


def _row(id, modality, caption, thing, path, root, split, **more):
    return table.row(
        id,
        modality,
        [caption],
        thing,
        group=id,
        path=path.relative_to(root / "data").as_posix(),
        split=split,
        **more,
    )


def _draw(thing: str, color: str, rng) -> Image.Image:
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


def _play(number: int, rng) -> np.ndarray:
    """One second: a fundamental and a mixture of harmonics of the thing's own, with a little noise."""
    t = np.arange(RATE) / RATE
    pitch = 110 * 2 ** (number / 3) * rng.uniform(0.97, 1.03)
    weights = 1 / (1 + (np.arange(1, 6) - 1) * (number + 1) / 2)
    tone = sum(w * np.sin(2 * np.pi * pitch * k * t) for k, w in enumerate(weights, start=1))
    sound = tone * np.exp(-t * (1 + number % 4)) + 0.01 * rng.standard_normal(len(t))
    return (0.7 * sound / np.abs(sound).max()).astype(np.float32)


def _model(thing: str, rng) -> np.ndarray:
    import trimesh

    c = trimesh.creation
    mesh = {
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
    }[thing]()
    points = sample_mesh(
        np.asarray(mesh.vertices), np.asarray(mesh.faces), 2000, int(rng.integers(1 << 30))
    )
    return points * np.float32(rng.uniform(0.5, 1.5))
