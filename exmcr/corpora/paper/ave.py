"""AVE: ten-second videos with an event that is both audible and visible for some seconds.

trainSet.txt, valSet.txt, testSet.txt, Annotations.txt (split all):
Category&VideoID&Quality&StartTime&EndTime
audio/<VideoID>.wav, frames/<VideoID>.jpg or frames/<VideoID>/*.jpg, extracted with ffmpeg
"""

from collections.abc import Iterator
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import Row, need, one_of, sound_and_frame
from exmcr.corpora.paper.lists import read_lines

FILES = {
    "train": "trainSet.txt",
    "val": "valSet.txt",
    "test": "testSet.txt",
    "all": "Annotations.txt",
}


def rows(root: Path, split: str = "test") -> Iterator[Row]:
    """Sound and image rows; splits train, val, test, all."""
    path = need(root / FILES[one_of(split, FILES, "ave")])
    events: dict[str, tuple[str, str, float, float | None]] = {}
    for line in read_lines(path):
        parts = line.split("&")
        if parts[0] != "Category":
            try:
                concept, video, _, start, end = parts
                begin, seconds = float(start), float(end) - float(start)
            except ValueError as error:
                raise ConfigError(
                    f"{path}: not Category&VideoID&Quality&StartTime&EndTime: {line!r}"
                ) from error
            window = (begin, seconds) if seconds > 0 else (0.0, None)
            # A video can have several events. The first one is used: one item per video.
            events.setdefault(video, (video, concept, *window))
    return sound_and_frame(root, "ave", split, events.values(), "YouTube terms")
