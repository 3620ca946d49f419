"""Open Clip Art Library: drawings with titles and keywords. Debian package openclipart-svg; public domain."""

import html
import os
import re
from collections import Counter
from pathlib import Path

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series, title_of

SOURCE, LICENSE = "openclipart", "public domain"
# Folders whose drawings are variations of one abstract shape, not pictures of things with names.
LEFT_OUT = (
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
GENERIC = 6  # a title borne by more drawings than this names a collection, not a drawing


def _tag(name: str, text: str) -> list[str]:
    return [
        html.unescape(t).strip() for t in re.findall(rf"<(?:dc:|rdf:)?{name}[^>]*>([^<]*)</", text)
    ]


def items(raw: Path):
    """Yield (row, path of the SVG)."""
    base = debian.fetch("openclipart-svg", raw) / "usr/share/openclipart/svg"
    found = []
    for path in sorted(base.rglob("*.svg")):
        name = path.relative_to(base).as_posix()
        if os.path.islink(path) or name.startswith(LEFT_OUT):
            continue
        text = path.read_text("utf-8", "replace")
        keywords = [
            k for k in _tag("li", text) if 2 < len(k) < 30 and k != "hash" and k not in name
        ]
        found.append((path, name, next((t for t in _tag("title", text) if t), ""), keywords))
    often = Counter(title for _, _, title, _ in found)
    for path, name, title, keywords in found:
        stem = title_of(path.stem)
        # File names carry the artist after the title; the title is the better caption unless it names a collection.
        good = (
            title
            and often[title] <= GENERIC
            and not re.search(r"clip ?art|icon|collection|theme|svg", title, re.I)
        )
        caption = title_of(title) if good else stem
        caption = " ".join(w for w in caption.split() if len(w) > 1)
        if len(caption) < 3:
            continue
        captions = [caption, *keywords[:4]]
        yield (
            row(
                f"{SOURCE}/{name[:-4]}",
                "image",
                captions,
                concept_of(caption),
                SOURCE,
                LICENSE,
                f"{SOURCE}:{series(caption)}",
            ),
            path,
        )
