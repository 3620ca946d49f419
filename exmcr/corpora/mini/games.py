"""Sound effects of three free games, named by their files: animals, tools, weather, weapons.

Debian packages widelands-data (GPL-2+), megaglest-data (CC-BY-SA 3.0) and hedgewars-data (GPL-2).
Voices are not used.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian
from exmcr.corpora.mini.concepts import named_sounds

LICENSES = {
    "widelands": "GPL-2.0-or-later",
    "megaglest": "CC-BY-SA-3.0",
    "hedgewars": "GPL-2.0-only",
}
SUFFIXES = (".ogg", ".wav")
_COUNT = re.compile(r"[_-]?\d+$")  # the number of a take: sheep_02, bee4


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield (row, path)."""
    for source, license in LICENSES.items():
        known = named_sounds(source)
        root = debian.fetch(f"{source}-data", raw, only=SUFFIXES)
        for path in sorted(root.rglob("*")):
            named = known.get(path.stem) or known.get(_COUNT.sub("", path.stem))
            if path.suffix in SUFFIXES and named:
                concept, caption = named
                name = path.relative_to(root).with_suffix("").as_posix()
                id = f"{source}/sound/{name.removeprefix('usr/share/games/')}"
                group = f"{source}:sound:{path.stem}"
                yield row(id, "audio", [caption], concept, source, license, group), path
