"""GCompris, an educational suite: word pictures, animals and instruments with their sounds.

Debian package gcompris-qt-data. Licenses differ by file; the package lists them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import contents, rcc
from exmcr.corpora.mini.concepts import concept_of, named_sounds
from exmcr.corpora.mini.pictures import series, title_of

SOURCE, LICENSE = "gcompris", "by file: GPL, CC0, CC-BY, CC-BY-SA, GFDL, others"
# Bundle -> folders in it whose picture files are named by what they show.
PICTURES = {
    "lang": ("words/",),
    "categorization": ("images/",),
    "instruments": ("resource/",),
    "explore_farm_animals": ("animals/",),
    "explore_world_animals": ("animals/",),
    "babymatch": ("images/",),
    "memory": ("resource/",),
}
# Parts of the paths of pictures that are not used.
EXCLUDED = (
    "background",
    "question",
    "categorization/images/numbers",
    "images/letters",
    "images/alphabets",
    "others",
    "back",
    "empty",
    "tuxplane",
    "tuxhelico",
    "category_icons",
    "windflag",
    "rape",
    "sound",
    "error",
    "farm-animals",
    "sample",
    "images/shapes",
    "postpoint",
)
SOUNDS = ("instruments", "explore_farm_animals", "memory-sound", "core")
PICTURE_SUFFIXES, SOUND_SUFFIXES = (".svg", ".png", ".webp", ".jpg"), (".ogg", ".wav")


def items(raw: Path) -> Iterator[tuple[dict[str, Any], bytes, str]]:
    """Yield (row, content of the file, its suffix)."""
    base = next(contents.fetch("gcompris-qt-data", raw).rglob("rcc"))
    for bundle in sorted({*PICTURES, *SOUNDS}):
        for name, content in rcc.read(base / f"{bundle}.rcc"):
            if bundle in SOUNDS and (item := _sound(name)):
                yield item, content, Path(name).suffix
            if bundle in PICTURES and (item := _picture(bundle, name)):
                yield item, content, Path(name).suffix


def _short(name: str) -> str:
    return name.removeprefix("gcompris/src/").removeprefix("activities/")


def _sound(name: str) -> dict[str, Any] | None:
    path, known = Path(name), named_sounds(SOURCE)
    if path.suffix not in SOUND_SUFFIXES or path.stem not in known:
        return None
    concept, caption = known[path.stem]
    id, group = f"{SOURCE}/sound/{_short(name)}", f"{SOURCE}:sound:{_short(name)}"
    return row(id, "audio", [caption], concept, SOURCE, LICENSE, group)


def _picture(bundle: str, name: str) -> dict[str, Any] | None:
    path, short = Path(name), _short(name)
    if path.suffix not in PICTURE_SUFFIXES or not any(part in name for part in PICTURES[bundle]):
        return None
    caption = title_of(path.stem)
    if len(caption) < 3 or any(part in short for part in EXCLUDED):
        return None
    group = f"{SOURCE}:{series(caption)}"
    return row(f"{SOURCE}/{short}", "image", [caption], concept_of(caption), SOURCE, LICENSE, group)
