"""Flickr-SoundNet: sounds and frames of Flickr videos.

audio/<id>.wav, frames/<id>.jpg
flickr_test.csv or metadata/flickr_test.csv: one id a line (split test); split all is whatever has a sound
"""

import csv
from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.layout import SOUND, files_by_stem, need, one_of, sound_and_frame


def rows(root: Path, split: str = "test") -> Iterator[dict]:
    one_of(split, ("test", "all"), "flickrnet")
    if split == "all":
        ids = list(files_by_stem(root / "audio", SOUND))
    else:
        with need(root / "flickr_test.csv", root / "metadata" / "flickr_test.csv").open(
            newline=""
        ) as file:
            ids = [line[0].strip() for line in csv.reader(file) if line]
    return sound_and_frame(
        root, "flickrnet", split, ((id, "", 0.0, None) for id in ids), "Flickr terms"
    )
