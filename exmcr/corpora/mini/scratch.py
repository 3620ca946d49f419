"""Costumes of Scratch 1.4, named by their files. Its sounds are in effects.py.

Debian package scratch; GPL-2, media CC-BY-SA 3.0.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import contents
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series, title_of

SOURCE, LICENSE = "scratch", "CC-BY-SA-3.0"


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield (row, path)."""
    base = contents.fetch("scratch", raw) / "usr/share/scratch/Media"
    for path in sorted((base / "Costumes").rglob("*")):
        name = path.relative_to(base).with_suffix("").as_posix()
        if path.suffix in (".gif", ".png", ".jpg") and "/Letters" not in f"/{name}":
            # "dog1-a" and "dog1-b" are poses of one drawing.
            caption = " ".join(word for word in title_of(path.stem).split() if len(word) > 1)
            if len(caption) > 2:
                id, group = f"{SOURCE}/{name}", f"{SOURCE}:{series(caption)}"
                concept = concept_of(caption)
                yield row(id, "image", [caption], concept, SOURCE, LICENSE, group), path
