"""AudioSet: ten-second clips of videos with classes.

balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv,
class_labels_indices.csv
<split>/ or <split>_segments/: files, or tars of files, named by any common downloader as
<id>, Y<id>, <id>_30, <id>_30_40, <id>_30.000 or <id>_30000_40000
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from exmcr.corpora.paper.layout import Row, files_by_stem, need, one_of, present, row

SPLITS = ("balanced_train", "unbalanced_train", "eval")
LICENSE = "labels CC-BY 4.0; sound: YouTube terms"


def rows(root: Path, split: str = "balanced_train") -> Iterator[Row]:
    """Sound rows; splits balanced_train, unbalanced_train, eval."""
    one_of(split, SPLITS, "audioset")
    with need(root / "class_labels_indices.csv").open(encoding="utf-8", newline="") as file:
        names = {line["mid"]: line["display_name"] for line in csv.DictReader(file)}
    sounds = files_by_stem(need(root / f"{split}_segments", root / split), "audio")

    def originals():
        with need(root / f"{split}_segments.csv").open(encoding="utf-8", newline="") as file:
            lines = (line for line in file if not line.startswith("#"))
            for video, start, end, classes in csv.reader(lines, skipinitialspace=True):
                path = find(sounds, video, float(start), float(end))
                concept = ", ".join(names.get(mid, mid) for mid in classes.split(","))
                about: Row = {"path": path, "concept": concept, "license": LICENSE}
                clip = f"{video}_{float(start):g}"
                yield path, [row("audioset", split, clip, "audio", **about)]

    return present(originals(), f"audioset {split}")


def find(
    sounds: Mapping[str, Path | str], video: str, start: float, end: float | None = None
) -> Path | str | None:
    """The file of a clip under any of the names that downloaders give it; None if missing.

    sounds: {name without suffix: file}; start, end: of the clip, in seconds.
    """
    names = [f"{video}_{start:g}", video, f"Y{video}", f"{video}_{start:.3f}"]
    if end is not None:
        names += [
            f"{video}_{start:g}_{end:g}",
            f"{video}_{start * 1000:.0f}_{end * 1000:.0f}",
            f"{video}_{start:.3f}_{end:.3f}",
        ]
    return next((sounds[name] for name in names if name in sounds), None)
