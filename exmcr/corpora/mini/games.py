"""Sound effects of three free games, named after their files: animals, tools, weather, weapons.

Debian packages widelands-data (GPL-2+), megaglest-data (CC-BY-SA 3.0) and hedgewars-data (GPL-2). Voices are not used."""

import re
from pathlib import Path

import yaml

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian

LICENSES = {
    "widelands": "GPL-2.0-or-later",
    "megaglest": "CC-BY-SA-3.0",
    "hedgewars": "GPL-2.0-only",
}
SUFFIXES = (".ogg", ".wav")
_COUNT = re.compile(r"[_-]?\d+$")  # the number of a take: sheep_02, bee4


def items(raw: Path):
    """Yield (row, path)."""
    table = yaml.safe_load((Path(__file__).parent / "sounds.yaml").read_text())
    for source, license in LICENSES.items():
        root = debian.fetch(f"{source}-data", raw, only=SUFFIXES)
        for path in sorted(root.rglob("*")):
            named = table[source].get(path.stem) or table[source].get(_COUNT.sub("", path.stem))
            if path.suffix in SUFFIXES and named:
                concept, caption = named
                name = (
                    path.relative_to(root)
                    .with_suffix("")
                    .as_posix()
                    .removeprefix("usr/share/games/")
                )
                yield (
                    row(
                        f"{source}/sound/{name}",
                        "audio",
                        [caption],
                        concept,
                        source,
                        license,
                        f"{source}:sound:{path.stem}",
                    ),
                    path,
                )
