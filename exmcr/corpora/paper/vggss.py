"""VGG-Sound Source: test clips of VGG-Sound whose sounding object was marked.

vggss.json or metadata/vggss.json: [{"file": "<video>_000030", "class": "race car, auto racing", "bbox": [[left, top, right, bottom], ...]}, ...]
audio/<file>.wav, frames/<file>.jpg

A box is in fractions of width and height; published ones that reach over the edge are cut there.
"""

from pathlib import Path
from typing import Iterator

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import need, one_of, read_json, sound_and_frame


def rows(root: Path, split: str = "test") -> Iterator[dict]:
    one_of(split, ("test",), "vggss")
    notes = read_json(need(root / "vggss.json", root / "metadata" / "vggss.json"))
    items = ((note["file"], note.get("class", ""), 0.0, None) for note in notes)
    return sound_and_frame(
        root, "vggss", split, items, "annotations CC-BY 4.0; sound and image: YouTube terms"
    )


def boxes(root: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    """Where the sounding objects of each frame are: group of its rows -> boxes (left, top, right, bottom) in [0, 1].

    Raises ConfigError for a box that is not four numbers, or has no area in the frame."""
    found = {}
    for note in read_json(need(root / "vggss.json", root / "metadata" / "vggss.json")):
        try:
            cut = [tuple(min(max(float(edge), 0.0), 1.0) for edge in box) for box in note["bbox"]]
            fine = all(right > left and bottom > top for left, top, right, bottom in cut)
        except (KeyError, TypeError, ValueError):
            fine = False
        if not fine:
            raise ConfigError(
                f"vggss: the boxes of {note.get('file')!r} are not [[left, top, right, bottom], ...] in fractions: {note.get('bbox')!r}"
            )
        found[f"vggss/{note['file']}"] = cut
    return found
