"""ModelNet40: shapes of 40 classes, as meshes or as the resampled clouds that ULIP uses.

ModelNet40/airplane/train/airplane_0001.off
modelnet40_test.txt and airplane/airplane_0001.txt (modelnet40_normal_resampled)

The vertical axis of the meshes is z, that of the clouds y [both assumed], as in Objaverse and in
ULIP's evaluation. Files are read as they are, and an encoder takes one vertical axis for all:
beside other corpora of shapes, use the clouds. A warning is logged for meshes.
Source of the axis of the clouds: https://github.com/salesforce/ULIP (data/dataset_3d.py)
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.layout import Row, need, one_of, present, row
from exmcr.corpora.paper.lists import read_lines

CLASSES = (
    *("airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair"),
    *("cone", "cup", "curtain", "desk", "door", "dresser", "flower pot", "glass box", "guitar"),
    *("keyboard", "lamp", "laptop", "mantel", "monitor", "night stand", "person", "piano"),
    *("plant", "radio", "range hood", "sink", "sofa", "stairs", "stool", "table", "tent"),
    *("toilet", "tv stand", "vase", "wardrobe", "xbox"),
)
LICENSE = "research only, Princeton ModelNet terms"

log = logging.getLogger(__name__)


def rows(root: Path, split: str = "test") -> Iterator[Row]:
    """Shape rows; splits train, test."""
    one_of(split, ("train", "test"), "modelnet40")
    paths = _files(root, split)
    if any(path.suffix == ".off" for path in paths):
        log.warning(
            "modelnet40 %s: the vertical axis of its meshes is z, that of Objaverse and most other "
            "corpora y, so that an encoder for clouds with y up gets them lying down; "
            "modelnet40_normal_resampled has y",
            split,
        )

    def originals():
        for path in paths:
            about: Row = {"path": path, "concept": _concept(path), "license": LICENSE}
            item = row("modelnet40", split, f"{split}/{path.stem}", "points", **about)
            yield (path if path.is_file() else None), [item]

    return present(originals(), f"modelnet40 {split}")


def _files(root: Path, split: str) -> list[Path]:
    listed = root / f"modelnet40_{split}.txt"
    if listed.is_file():
        names = read_lines(listed)
        paths = [root / name.rsplit("_", 1)[0] / f"{name}.txt" for name in names]
        return [path if path.is_file() else path.with_suffix(".npy") for path in paths]
    folder = root if any(root.glob(f"*/{split}/*.off")) else need(root / "ModelNet40")
    return sorted(folder.glob(f"*/{split}/*.off"))


def classes(root: Path, split: str = "test") -> list[str]:
    """The names of all classes, whichever the split."""
    return sorted(CLASSES)


def _concept(path: Path) -> str:
    return path.stem.rsplit("_", 1)[0].replace("_", " ")
