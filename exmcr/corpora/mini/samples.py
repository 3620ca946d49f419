"""Recorded samples of two music programs.

Debian packages sonic-pi-samples (CC0) and lmms-common (GPL-2 and free samples).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian
from exmcr.corpora.mini.concepts import named_sounds

PACKAGES = {
    "sonic-pi": ("sonic-pi-samples", "CC0-1.0"),
    "lmms": ("lmms-common", "GPL-2, samples as listed in the package"),
}
SUFFIXES = (".flac", ".ogg", ".wav")


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield (row, path)."""
    for source, (package, license) in PACKAGES.items():
        known = named_sounds(source)
        for path in sorted(debian.fetch(package, raw).rglob("*")):
            if path.suffix in SUFFIXES and path.stem in known and "waveforms" not in path.parts:
                concept, caption = known[path.stem]
                name = f"{path.parent.name}/{path.stem}"
                id, group = f"{source}/sound/{name}", f"{source}:sound:{name}"
                yield row(id, "audio", [caption], concept, source, license, group), path
