"""Pictures of a game, without captions: people, beasts, things, scenery. For the training pool.

Debian package wesnoth-1.16-data; GPL-2 or later.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import contents

SOURCE, LICENSE = "wesnoth", "GPL-2.0-or-later"
FOLDERS = (
    "attacks",
    "items",
    "portraits",
    "scenery",
    "terrain/embellishments",
    "terrain/village",
    "units",
)


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield (row, path)."""
    root = contents.fetch("wesnoth-1.16-data", raw)
    for folder in FOLDERS:
        base = next(root.rglob(f"core/images/{folder}"))
        for path in sorted(base.rglob("*")):
            frame = folder == "units" and "-" in path.stem  # of an animation
            if path.suffix in contents.PICTURES and not path.is_symlink() and not frame:
                name = f"{folder}/{path.relative_to(base).with_suffix('').as_posix()}"
                id, group = f"{SOURCE}/{name}", f"{SOURCE}:{name}"
                yield row(id, "image", [], "", SOURCE, LICENSE, group), path
