"""VGG-Sound Source: test clips of VGG-Sound with boxes around the sounding objects.

vggss.json or metadata/vggss.json: [{"file": "<video>_000030", "class": "race car, auto racing",
"bbox": [[left, top, right, bottom], ...]}, ...]
audio/<file>.wav, frames/<file>.jpg

Boxes are in fractions of width and height. Some published ones extend beyond the frame.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import Row, laid_out, need, one_of, sound_and_frame
from exmcr.corpora.paper.lists import read_json

LICENSE = "annotations CC-BY 4.0; sound and image: YouTube terms"

Box = tuple[float, float, float, float]  # left, top, right, bottom


def rows(root: Path, split: str = "test") -> Iterator[Row]:
    """Sound and image rows; split test."""
    one_of(split, ("test",), "vggss")
    videos = ((note["file"], note.get("class", ""), 0.0, None) for note in _notes(root))
    return sound_and_frame(root, "vggss", split, videos, LICENSE)


def boxes(root: Path) -> dict[str, list[Box]]:
    """Boxes around the sounding objects of each frame, clipped to the frame.

    Returns {group of the rows: [(left, top, right, bottom) in [0, 1], ...]}. Raises ConfigError for
    a box that is not four numbers, or has no area inside the frame.
    """
    clipped = {}
    for note in _notes(root):
        try:
            frame = [_clipped(*box) for box in note["bbox"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"vggss: the boxes of {note.get('file')!r} are not "
                f"[[left, top, right, bottom], ...] in fractions: {note.get('bbox')!r}"
            ) from error
        clipped[f"vggss/{note['file']}"] = frame
    return clipped


def _clipped(left: float, top: float, right: float, bottom: float) -> Box:
    left, top, right, bottom = (
        min(max(float(edge), 0.0), 1.0) for edge in (left, top, right, bottom)
    )
    if not (right > left and bottom > top):
        raise ValueError("no area inside the frame")
    return left, top, right, bottom


def _notes(root: Path) -> list[dict[str, Any]]:
    path = need(root / "vggss.json", root / "metadata" / "vggss.json")
    notes = read_json(path)
    with laid_out(path, "a list of clips with `file`"):
        if not all(isinstance(note["file"], str) for note in notes):
            raise TypeError("a `file` that is no text")
    return notes
