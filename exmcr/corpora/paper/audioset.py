"""AudioSet: ten-second clips of videos, each with one or more of 527 classes.

balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv,
class_labels_indices.csv
<split>/ or <split>_segments/: files, or tars of files, named by any common downloader as
<id>, Y<id>, <id>_30, <id>_30_40, <id>_30.000 or <id>_30000_40000
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import Row, files_by_stem, need, one_of, present, row
from exmcr.corpora.paper.lists import read_rows, read_table

SPLITS = ("balanced_train", "unbalanced_train", "eval")
LICENSE = "labels CC-BY 4.0; sound: YouTube terms"


def rows(root: Path, split: str = "balanced_train") -> Iterator[Row]:
    """Sound rows; splits balanced_train, unbalanced_train, eval."""
    one_of(split, SPLITS, "audioset")
    names = _names(root)
    sounds = files_by_stem(need(root / f"{split}_segments", root / split), "audio")

    def originals():
        for video, start, end, mids in _segments(need(root / f"{split}_segments.csv")):
            path = find(sounds, video, start, end)
            labels = [names.get(mid, mid) for mid in mids]
            about: Row = {"path": path, "labels": labels, "license": LICENSE}
            about["concept"] = ", ".join(labels)
            yield path, [row("audioset", split, f"{video}_{start:g}", "audio", **about)]

    return present(originals(), f"audioset {split}")


def classes(root: Path, split: str = "eval") -> list[str]:
    """The names of all classes, whichever the split."""
    return sorted(set(_names(root).values()))


def _names(root: Path) -> dict[str, str]:
    """{mid: name} of each class."""
    lines = read_table(need(root / "class_labels_indices.csv"), ("mid", "display_name"))
    return {line["mid"]: line["display_name"] for line in lines}


def _segments(path: Path) -> Iterator[tuple[str, float, float, list[str]]]:
    """(video, start, end, classes) of each clip; the classes may be quoted together or not."""
    for line in read_rows(path, comment="#", skipinitialspace=True):
        try:
            video, start, end, *classes = line
            begin, stop = float(start), float(end)
        except ValueError as error:
            raise ConfigError(
                f"{path}: not `YTID, start_seconds, end_seconds, positive_labels`: {line}"
            ) from error
        mids = [mid.strip() for entry in classes for mid in entry.split(",")]
        yield video, begin, stop, [mid for mid in mids if mid]


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
