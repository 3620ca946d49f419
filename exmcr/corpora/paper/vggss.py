"""VGG-Sound Source: test clips of VGG-Sound whose sounding object was marked.

vggss.json or metadata/vggss.json: [{"file": "<video>_000030", "class": "race car, auto racing", "bbox": ...}, ...]
audio/<file>.wav, frames/<file>.jpg
"""

from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.layout import need, one_of, read_json, sound_and_frame


def rows(root: Path, split: str = "test") -> Iterator[dict]:
    one_of(split, ("test",), "vggss")
    notes = read_json(need(root / "vggss.json", root / "metadata" / "vggss.json"))
    items = ((note["file"], note.get("class", ""), 0.0, None) for note in notes)
    return sound_and_frame(root, "vggss", split, items, "annotations CC-BY 4.0; sound and image: YouTube terms")
