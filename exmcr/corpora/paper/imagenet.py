"""ImageNet: images in one folder per class. The paper uses them without their classes.

train/n01440764/n01440764_10026.JPEG (or ILSVRC/Data/CLS-LOC/train/...), val/ likewise or flat
LOC_synset_mapping.txt: "n01440764 tench, Tinca tinca"; without it the concept is the number
"""

import os
from collections.abc import Iterator
from pathlib import Path

from exmcr import media
from exmcr.corpora.paper.layout import Row, need, one_of, present, row
from exmcr.corpora.paper.lists import read_lines

LICENSE = "research only, ImageNet terms"


def rows(root: Path, split: str = "train") -> Iterator[Row]:
    """Image rows; splits train, val."""
    one_of(split, ("train", "val"), "imagenet")
    folder = need(root / split, root / "ILSVRC" / "Data" / "CLS-LOC" / split)
    names = _class_names(root / "LOC_synset_mapping.txt")

    def originals():
        for path in _pictures(folder):
            number = path.parent.name if path.parent != folder else ""
            about: Row = {"path": path, "concept": names.get(number, number), "license": LICENSE}
            yield path, [row("imagenet", split, f"{split}/{path.stem}", "image", **about)]

    return present(originals(), f"imagenet {split}")


def _class_names(mapping: Path) -> dict[str, str]:
    """{class number: its first name}; empty if there is no such file."""
    lines = read_lines(mapping) if mapping.is_file() else []
    pairs = (line.split(" ", 1) for line in lines if " " in line)
    return {number: names.split(",")[0] for number, names in pairs}


def _pictures(folder: Path) -> Iterator[Path]:
    """Sorted, one class folder at a time, to keep 1.3 M names out of memory."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _pictures(Path(entry.path))
        elif Path(entry.name).suffix.lower() in media.modality("image").suffixes:
            yield Path(entry.path)
