"""Open Clip Art Library: drawings with titles. Their keywords ("work", "icon") name a folder rather
than what is drawn, and are not used.

Debian package openclipart-svg; public domain.
"""

import html
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import contents
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series, title_of

SOURCE, LICENSE = "openclipart", "public domain"
# Folders with variations of one abstract shape instead of pictures of things.
EXCLUDED = (
    "shapes/",
    "special/",
    "computer/icons/",
    "computer/buttons",
    "signs_and_symbols/flags",
    "signs_and_symbols/led",
    "signs_and_symbols/map_symbols",
    "recreation/games/cards",
    "transportation/roadsigns",
    "unsorted",
    "computer/folders",
    "logos",
    "decorations",
    "people/smilies",
    "geography/",
)
GENERIC = 6  # a title of more drawings than this is the name of a collection
_COLLECTION = re.compile(r"clip ?art|icon|collection|theme|svg", re.IGNORECASE)


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield (row, path of the SVG)."""
    base = contents.fetch("openclipart-svg", raw) / "usr/share/openclipart/svg"
    drawings = []
    for path in sorted(base.rglob("*.svg")):
        name = path.relative_to(base).as_posix()
        if os.path.islink(path) or name.startswith(EXCLUDED):
            continue
        text = path.read_text("utf-8", "replace")
        drawings.append((path, name, _title(text)))
    count = Counter(title for _, _, title in drawings)
    for path, name, title in drawings:
        # File names end in the artist's name, so the title is the better caption.
        generic = not title or count[title] > GENERIC or _COLLECTION.search(title)
        caption = title_of(path.stem if generic else title)
        caption = " ".join(word for word in caption.split() if len(word) > 1)
        if len(caption) > 2:
            concept, group = concept_of(caption), f"{SOURCE}:{series(caption)}"
            id = f"{SOURCE}/{name[:-4]}"
            yield row(id, "image", [caption], concept, SOURCE, LICENSE, group), path


def _title(text: str) -> str:
    """The first title in the metadata of an SVG that is not empty; some are escaped twice."""
    titles = re.findall(r"<(?:dc:|rdf:)?title[^>]*>([^<]*)</", text)
    plain = (html.unescape(html.unescape(title)).strip() for title in titles)
    return next(filter(None, plain), "")
