"""ESC-50: 2,000 environmental sounds of 5 s, 40 of each of 50 classes, in five folds.

meta/esc50.csv: filename, fold, target, category, esc10, src_file, take
audio/1-100032-A-0.wav: fold, sound of Freesound (`src_file`), take, class number

Zero-shot classification uses all clips (split all). Underscores of class names become spaces.
Source: https://github.com/karolpiczak/ESC-50
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.paper.layout import Row, freesound, need, one_of, present, row
from exmcr.corpora.paper.lists import read_table

SPLITS = ("all", "fold1", "fold2", "fold3", "fold4", "fold5")
LICENSE = "CC-BY-NC 3.0"


def rows(root: Path, split: str = "all") -> Iterator[Row]:
    """Sound rows; splits all, fold1 to fold5."""
    one_of(split, SPLITS, "esc50")
    clips, folder = _clips(root), need(root / "audio")

    def originals():
        for clip in clips:
            if split in ("all", f"fold{clip['fold']}"):
                path = folder / clip["filename"]
                about: Row = {"path": path, "concept": _concept(clip), "license": LICENSE}
                about["original"] = freesound(clip.get("src_file", ""))
                item = row("esc50", split, path.stem, "audio", **about)
                yield (path if path.is_file() else None), [item]

    return present(originals(), f"esc50 {split}")


def classes(root: Path, split: str = "all") -> list[str]:
    """The names of all classes, whichever the split."""
    return sorted({_concept(clip) for clip in _clips(root)})


def _clips(root: Path) -> list[dict[str, Any]]:
    return list(read_table(need(root / "meta" / "esc50.csv"), ("filename", "fold", "category")))


def _concept(clip: dict[str, Any]) -> str:
    return clip["category"].replace("_", " ")
