"""AudioSet: ten-second clips of videos with classes.

balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv, class_labels_indices.csv
<split>/...: files named <id>, Y<id>, <id>_30, <id>_30_40, <id>_30.000 or <id>_30000_40000 (the habits of common downloaders),
or tars of such files
"""

import csv
from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.layout import SOUND, files_by_stem, need, one_of, present, row

SPLITS = ("balanced_train", "unbalanced_train", "eval")
LICENSE = "labels CC-BY 4.0; sound: YouTube terms"


def rows(root: Path, split: str = "balanced_train") -> Iterator[dict]:
    one_of(split, SPLITS, "audioset")
    with need(root / "class_labels_indices.csv").open(encoding="utf-8", newline="") as file:
        names = {line["mid"]: line["display_name"] for line in csv.DictReader(file)}
    sounds = files_by_stem(need(root / f"{split}_segments", root / split), SOUND)

    def pairs():
        with need(root / f"{split}_segments.csv").open(encoding="utf-8", newline="") as file:
            lines = (line for line in file if not line.startswith("#"))
            for video, start, end, classes in csv.reader(lines, skipinitialspace=True):
                path = find(sounds, video, float(start), float(end))
                concept = ", ".join(names.get(mid, mid) for mid in classes.split(","))
                yield (
                    path,
                    [
                        row(
                            "audioset",
                            split,
                            f"{video}_{float(start):g}",
                            "audio",
                            path=path,
                            concept=concept,
                            license=LICENSE,
                        )
                    ],
                )

    return present(pairs(), f"audioset {split}")


def find(
    sounds: dict[str, Path], video: str, start: float, end: float | None = None
) -> Path | None:
    """The file of a clip, under whichever name a downloader gave it."""
    names = [f"{video}_{start:g}", video, f"Y{video}", f"{video}_{start:.3f}"]
    if end is not None:
        names += [
            f"{video}_{start:g}_{end:g}",
            f"{video}_{start * 1000:.0f}_{end * 1000:.0f}",
            f"{video}_{start:.3f}_{end:.3f}",
        ]
    return next((sounds[name] for name in names if name in sounds), None)
