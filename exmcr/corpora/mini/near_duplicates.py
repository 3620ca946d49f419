"""Pictures that look the same: one drawing in two packages, or under two names.

A look is a thumbnail of SIDE x SIDE colors without margins. Two pictures are near-duplicates if
their looks correlate by ALIKE or more and their proportions differ by STRETCH at most. This finds
copies that differ in size, margin and compression. It does not find copies that are mirrored,
turned or drawn in other colors.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 16  # pixels
ALIKE = 0.99  # correlation of two looks; pairs below it are other drawings [assumed]
STRETCH = 1.1  # ratio of two proportions [assumed]
INK = 249  # gray level up to which a pixel is no margin, which is white
PREFERRED = "tuxpaint"  # source of the copy that stays: its captions are the cleanest
BLOCK = 1024  # rows that are compared at a time

_IS_INK = [255 * (level <= INK) for level in range(256)]

Row = dict[str, Any]


def look(path: Path) -> np.ndarray:
    """A picture on white as float32 (3 * SIDE * SIDE + 1,): colors, centered and of unit length,
    then the logarithm of width over height, both without margins."""
    with Image.open(path) as image:
        pixels = image.convert("RGB")
    pixels = pixels.crop(pixels.convert("L").point(_IS_INK).getbbox())
    colors = np.asarray(pixels.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel()
    colors -= colors.mean()
    length = max(float(np.linalg.norm(colors)), 1e-6)
    return np.append(colors / length, np.float32(np.log(pixels.width / pixels.height)))


def pairs(looks: np.ndarray) -> list[tuple[int, int]]:
    """Numbers of the rows (n, d), as `look` returns them, that are near-duplicates: i < j."""
    colors, proportion = looks[:, :-1], looks[:, -1]
    found: list[tuple[int, int]] = []
    for start in range(0, len(looks), BLOCK):
        near = colors[start : start + BLOCK] @ colors[start:].T >= ALIKE
        for i, j in np.argwhere(near) + start:
            if i < j and abs(proportion[i] - proportion[j]) <= np.log(STRETCH):
                found.append((int(i), int(j)))
    return found


def clusters(rows: Sequence[Row], data: Path) -> dict[str, str]:
    """{id of a picture: id of the first picture of its cluster}, for pictures that have a
    near-duplicate. Near-duplicates of a near-duplicate belong to one cluster.

    rows: of the item table; items of other modalities, and icons of shapes, are ignored. data:
    the folder that their paths start from.
    """
    pictures = [row for row in rows if row["modality"] == "image" and not row["of"]]
    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter while it decodes
        looks = list(pool.map(look, [data / row["path"] for row in pictures]))
    first = list(range(len(pictures)))

    def root(i: int) -> int:
        while first[i] != i:
            i = first[i]
        return i

    for i, j in pairs(np.stack(looks)) if looks else ():
        a, b = sorted((root(i), root(j)))
        first[b] = a
    member = {i for i in range(len(first)) if first[i] != i}
    member |= {root(i) for i in member}
    return {pictures[i]["id"]: pictures[root(i)]["id"] for i in sorted(member)}


def held_out_once(rows: Sequence[Row], cluster: dict[str, str]) -> tuple[list[Row], list[Row]]:
    """Keep one picture of each cluster in val and test, if possible one with a concept and of
    PREFERRED. Training keeps all.

    cluster: as `clusters` returns it. Returns the rows that stay, and for each that goes its id,
    its split and the id that stays for it (`like`).
    """
    copies = [row for row in rows if row["split"] != "train" and row["id"] in cluster]
    stays: dict[str, str] = {}
    order = lambda row: (not row["concept"], row["source"] != PREFERRED, row["id"])
    for row in sorted(copies, key=order):
        stays.setdefault(cluster[row["id"]], row["id"])
    like = {row["id"]: stays[cluster[row["id"]]] for row in copies}
    gone = [row for row in copies if like[row["id"]] != row["id"]]
    ids = {row["id"] for row in gone}
    note = [{"id": row["id"], "split": row["split"], "like": like[row["id"]]} for row in gone]
    return [row for row in rows if row["id"] not in ids], note
