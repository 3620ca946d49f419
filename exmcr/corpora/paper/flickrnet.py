"""Flickr-SoundNet: sounds and frames of Flickr videos.

audio/<id>.wav, frames/<id>.jpg
flickr_test.csv or metadata/flickr_test.csv: one id per line (split test)
"""

from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.layout import Row, files_by_stem, need, one_of, sound_and_frame
from exmcr.corpora.paper.lists import read_rows


def rows(root: Path, split: str = "test") -> Iterator[Row]:
    """Sound and image rows; splits test, and all: every video with a sound."""
    one_of(split, ("test", "all"), "flickrnet")
    if split == "all":
        ids = list(files_by_stem(root / "audio", "audio"))
    else:
        listed = need(root / "flickr_test.csv", root / "metadata" / "flickr_test.csv")
        ids = [line[0] for line in read_rows(listed) if line[0]]
    videos = ((id, "", 0.0, None) for id in ids)
    return sound_and_frame(root, "flickrnet", split, videos, "Flickr terms")
