"""AVE: ten-second videos in which an event is heard and seen from one second to another.

trainSet.txt, valSet.txt, testSet.txt, Annotations.txt (split all): Category&VideoID&Quality&StartTime&EndTime
audio/<VideoID>.wav, frames/<VideoID>.jpg or frames/<VideoID>/*.jpg, taken from the videos with ffmpeg
"""

from pathlib import Path
from typing import Iterator

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import need, one_of, sound_and_frame

FILES = {
    "train": "trainSet.txt",
    "val": "valSet.txt",
    "test": "testSet.txt",
    "all": "Annotations.txt",
}


def rows(root: Path, split: str = "test") -> Iterator[dict]:
    path = need(root / FILES[one_of(split, FILES, "ave")])
    items = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        parts = line.strip().split("&")
        if line.strip() and parts[0] != "Category":
            try:
                concept, video, _, start, end = parts
                # A video can hold several events; the first names it, so that every video is one item.
                items.setdefault(video, (video, concept, float(start), float(end) - float(start)))
            except ValueError as error:
                raise ConfigError(
                    f"{path}: not Category&VideoID&Quality&StartTime&EndTime: {line!r}"
                ) from error
    items = [item if item[3] > 0 else (*item[:2], 0.0, None) for item in items.values()]
    return sound_and_frame(root, "ave", split, items, "YouTube terms")
