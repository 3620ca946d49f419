"""Stamps of Tux Paint: photographs and drawings with captions, some with a sound.

Debian package tuxpaint-stamps-default; GPL-2.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import contents
from exmcr.corpora.mini.concepts import concept_of, named_sounds
from exmcr.corpora.mini.pictures import series

SOURCE, LICENSE = "tuxpaint", "GPL-2"
# Letters, digits and operators, and coins, which only their inscriptions tell apart.
EXCLUDED = ("symbols/",)
# Concepts whose sounds are sayings, or of objects that make no sound of their own.
SILENT = ("flag", "hat", "crossing", "turn", "candy", "apple", "gift", "xanthia")


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield (row, path) of every stamp with a caption, and of the sound effects."""
    base = contents.fetch("tuxpaint-stamps-default", raw) / "usr/share/tuxpaint/stamps"
    yield from _stamps(base)
    yield from _sounds(base)


def _stamps(base: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    for text in sorted(base.rglob("*.txt")):
        name = text.relative_to(base).with_suffix("").as_posix()
        if name.startswith(EXCLUDED) or not (caption := _caption(text)):
            continue
        images = (text.with_suffix(suffix) for suffix in (".png", ".svg"))
        if image := next((path for path in images if path.is_file()), None):
            id, group = f"{SOURCE}/{name}", f"{SOURCE}:{series(caption)}"
            yield row(id, "image", [caption], concept_of(caption), SOURCE, LICENSE, group), image


def _sounds(base: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    known = named_sounds(SOURCE)
    for sound in sorted([*base.rglob("*.ogg"), *base.rglob("*.wav")]):
        name = sound.relative_to(base).with_suffix("").as_posix()
        if name.startswith(EXCLUDED) or "_desc" in sound.stem:  # _desc is a voice: the caption read
            continue
        caption = _caption(sound.with_suffix(".txt"))
        concept, caption = known.get(sound.stem, (concept_of(caption), caption))
        if caption and len(caption.split()) <= 6 and concept not in SILENT:
            id, group = f"{SOURCE}/sound/{name}", f"{SOURCE}:sound:{name}"
            yield row(id, "audio", [caption], concept, SOURCE, LICENSE, group), sound


def _caption(text: Path) -> str:
    """The first line of a caption file; "" if the file is empty or missing."""
    if not text.is_file() or not text.stat().st_size:
        return ""
    return text.read_text("utf-8", "replace").splitlines()[0].strip().rstrip(".!")
