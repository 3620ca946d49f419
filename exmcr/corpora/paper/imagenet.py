"""ImageNet: images in one folder per class. The paper uses them without their classes.

train/n01440764/n01440764_10026.JPEG (or ILSVRC/Data/CLS-LOC/train/...), val/ likewise or flat      splits train, val
LOC_synset_mapping.txt: "n01440764 tench, Tinca tinca"; without it the concept is the number
"""

import os
from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.layout import PICTURE, need, one_of, present, row


def rows(root: Path, split: str = "train") -> Iterator[dict]:
    one_of(split, ("train", "val"), "imagenet")
    folder = need(root / split, root / "ILSVRC" / "Data" / "CLS-LOC" / split)
    mapping = root / "LOC_synset_mapping.txt"
    lines = mapping.read_text(encoding="utf-8").splitlines() if mapping.is_file() else []
    names = {
        line.split(" ", 1)[0]: line.split(" ", 1)[1].split(",")[0] for line in lines if " " in line
    }

    def pairs():
        for path in _pictures(folder):
            number = path.parent.name if path.parent != folder else ""
            concept = names.get(number, number)
            yield (
                path,
                [
                    row(
                        "imagenet",
                        split,
                        f"{split}/{path.stem}",
                        "image",
                        path=path,
                        concept=concept,
                        license="research only, ImageNet terms",
                    )
                ],
            )

    return present(pairs(), f"imagenet {split}")


def _pictures(folder: Path) -> Iterator[Path]:
    """Sorted, one class folder at a time: 1.3 M names need not be in memory."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from _pictures(Path(entry.path))
        elif Path(entry.name).suffix.lower() in PICTURE:
            yield Path(entry.path)
