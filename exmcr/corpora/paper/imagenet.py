"""ImageNet: images in one folder per class. The paper trains without the classes.

train/n01440764/n01440764_10026.JPEG (or ILSVRC/Data/CLS-LOC/train/...), val/ likewise or flat
LOC_val_solution.csv: ImageId, PredictionString; the classes of a flat val/, as in Kaggle's download
classnames.txt: "n01440764 tench", the names that CLIP uses; else
LOC_synset_mapping.txt: "n01440764 tench, Tinca tinca"; without both the concept is the number

In each list two names belong to two classes each: "missile" and "sunglasses" in classnames.txt,
"crane" and "maillot" as first names in LOC_synset_mapping.txt. The concepts of these four classes
end in their numbers, "crane (n02012849)", so that there are always 1,000; prompts omit the number.
Source of classnames.txt: https://github.com/KaiyangZhou/CoOp (DATASETS.md)
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from exmcr import media
from exmcr.corpora.paper.layout import Row, need, one_of, present, row
from exmcr.corpora.paper.lists import read_lines, read_table

NAMES = ("classnames.txt", "LOC_synset_mapping.txt")
LICENSE = "research only, ImageNet terms"


def rows(root: Path, split: str = "train") -> Iterator[Row]:
    """Image rows; splits train, val."""
    one_of(split, ("train", "val"), "imagenet")
    folder = need(root / split, root / "ILSVRC" / "Data" / "CLS-LOC" / split)
    names, solution = _class_names(root), _solution(root / "LOC_val_solution.csv")

    def originals():
        for path in _pictures(folder):
            number = path.parent.name if path.parent != folder else solution.get(path.stem, "")
            about: Row = {"path": path, "concept": names.get(number, number), "license": LICENSE}
            yield path, [row("imagenet", split, f"{split}/{path.stem}", "image", **about)]

    return present(originals(), f"imagenet {split}")


def classes(root: Path, split: str = "val") -> list[str]:
    """The names of all classes, whichever the split."""
    need(*(root / name for name in NAMES))
    return sorted(set(_class_names(root).values()))


def _class_names(root: Path) -> dict[str, str]:
    """{class number: its first name, and the number if other classes have this name}; empty if
    there is no list of names."""
    listed = next((root / name for name in NAMES if (root / name).is_file()), None)
    lines = read_lines(listed) if listed else []
    pairs = (line.split(" ", 1) for line in lines if " " in line)
    first = {number: names.split(",")[0] for number, names in pairs}
    count = Counter(first.values())
    return {
        number: f"{name} ({number})" if count[name] > 1 else name for number, name in first.items()
    }


def _solution(path: Path) -> dict[str, str]:
    """{name of an image without suffix: class number}; empty if there is no such file."""
    if not path.is_file():
        return {}
    lines = read_table(path, ("ImageId", "PredictionString"))
    # After the class follow the corners of a box, then possibly further classes and boxes.
    return {line["ImageId"]: line["PredictionString"].partition(" ")[0] for line in lines}


def _pictures(folder: Path) -> Iterator[Path]:
    """Sorted, one class folder at a time, to keep 1.3 M names out of memory."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _pictures(Path(entry.path))
        elif Path(entry.name).suffix.lower() in media.modality("image").suffixes:
            yield Path(entry.path)
