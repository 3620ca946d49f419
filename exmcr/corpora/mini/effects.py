"""Sounds of games, music programs and sound themes.

Those that sounds.yaml names have a concept and a caption. The others are in the training pool
without either, as in the paper, whose pools are unlabelled.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import contents
from exmcr.corpora.mini.concepts import named_sounds


@dataclass(frozen=True)
class Collection:
    """The sounds of one package. without: parts of paths, in lower case, that are not used."""

    package: str
    license: str
    without: tuple[str, ...] = ()


COLLECTIONS = {
    "scratch": Collection("scratch", "CC-BY-SA-3.0"),
    "sonic-pi": Collection("sonic-pi-samples", "CC0-1.0, MIT"),
    # Single periods of a waveform are too short to be heard as anything.
    "lmms": Collection("lmms-common", "GPL-2.0-or-later", ("/waveforms/", "/shapes/")),
    "widelands": Collection("widelands-data", "GPL-2.0-or-later, CC-BY-SA-3.0"),
    "megaglest": Collection("megaglest-data", "CC-BY-SA-3.0"),
    # 900 short cries by 14 voices would be a fifth of the pool.
    # `homerun` is the cheering crowd of tuxmath.
    "hedgewars": Collection(
        "hedgewars-data", "GFDL-1.3, GPL-2.0-only, CC-BY-SA-3.0", ("/voices/", "/homerun/")
    ),
    "wesnoth": Collection("wesnoth-1.16-data", "GPL-2.0-or-later"),
    "scorched3d": Collection("scorched3d-data", "GPL-2.0-or-later, CC-BY-SA-3.0"),
    "lincity": Collection("lincity-ng-data", "GPL-2.0-or-later"),
    "lugaru": Collection("lugaru-data", "CC-BY-SA-3.0"),
    "planetblupi": Collection("planetblupi-common", "GPL-3.0-or-later"),
    "simutrans": Collection("simutrans-pak64", "Artistic-1.0"),
    "bzflag": Collection("bzflag-data", "LGPL-2.1 or MPL-2.0"),
    "freedroid": Collection("freedroid-data", "GPL-2.0-or-later"),
    "lbreakout2": Collection("lbreakout2-data", "GPL"),
    "tuxmath": Collection("tuxmath-data", "public domain, CC-BY-SA-3.0"),
    "gnome-audio": Collection("gnome-audio", "CC-BY-SA-2.0, CC-BY-3.0"),
    "oxygen": Collection("oxygen-sounds", "LGPL-3.0-or-later"),
    "deepin": Collection("deepin-sound-theme", "GPL-3.0-only"),
    "freedesktop": Collection(
        "sound-theme-freedesktop", "CC-BY-SA-3.0, CC-BY-3.0, GPL-2.0-or-later, GPL-2.0-only"
    ),
    "sound-icons": Collection("sound-icons", "GPL-2.0-or-later"),
}
_COUNT = re.compile(r"[_-]?\d+$")  # the number of a take: sheep_02, bee4


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield (row, path), the named sounds of all sources first.

    Of two sounds with the same content the corpus keeps the earlier one, and a caption is worth
    more than another name.
    """
    rows = [pair for source in COLLECTIONS for pair in _sounds(source, raw)]
    yield from (pair for pair in rows if pair[0]["caption"])
    yield from (pair for pair in rows if not pair[0]["caption"])


def _sounds(source: str, raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    known, collection = named_sounds(source), COLLECTIONS[source]
    root = contents.fetch(collection.package, raw)
    previous = ""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).with_suffix("").as_posix()
        skipped = any(part in f"/{name}/".lower() for part in collection.without)
        if path.suffix not in contents.SOUNDS or path.is_symlink() or skipped:
            continue
        if name != previous:  # else it is the same sound in another format
            previous = name
            take = _COUNT.sub("", path.stem)
            concept, caption = known.get(path.stem) or known.get(take) or ("", "")
            id = f"{source}/sound/{name.removeprefix('usr/share/').removeprefix('games/')}"
            group = f"{source}:sound:{path.stem}"
            captions = [caption] if caption else []
            yield row(id, "audio", captions, concept, source, collection.license, group), path
