"""Recorded samples of two music programs. Debian packages sonic-pi-samples (CC0) and lmms-common (GPL-2 and free samples)."""

from pathlib import Path

import yaml

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian

PACKAGES = {
    "sonic-pi": ("sonic-pi-samples", "CC0-1.0"),
    "lmms": ("lmms-common", "GPL-2, samples as listed in the package"),
}


def items(raw: Path):
    """Yield (row, path)."""
    table = yaml.safe_load((Path(__file__).parent / "sounds.yaml").read_text())
    for source, (package, license) in PACKAGES.items():
        for path in sorted(debian.fetch(package, raw).rglob("*")):
            if (
                path.suffix in (".flac", ".ogg", ".wav")
                and path.stem in table[source]
                and "waveforms" not in path.parts
            ):
                concept, caption = table[source][path.stem]
                name = f"{path.parent.name}/{path.stem}"
                yield (
                    row(
                        f"{source}/sound/{name}",
                        "audio",
                        [caption],
                        concept,
                        source,
                        license,
                        f"{source}:sound:{name}",
                    ),
                    path,
                )
