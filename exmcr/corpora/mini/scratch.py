"""Scratch 1.4 media: costumes and sounds, named by their files. Debian package scratch; GPL-2, media CC-BY-SA 2.0."""

from pathlib import Path

import yaml

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series, title_of

SOURCE, LICENSE = "scratch", "CC-BY-SA-2.0"


def items(raw: Path):
    """Yield (row, path)."""
    base = debian.fetch("scratch", raw) / "usr/share/scratch/Media"
    named = yaml.safe_load((Path(__file__).parent / "sounds.yaml").read_text())["scratch"]
    for path in sorted((base / "Costumes").rglob("*")):
        name = path.relative_to(base).with_suffix("").as_posix()
        if path.suffix in (".gif", ".png", ".jpg") and "/Letters" not in f"/{name}":
            # "dog1-a" and "dog1-b" are poses of one drawing.
            caption = " ".join(w for w in title_of(path.stem).split() if len(w) > 1)
            if len(caption) > 2:
                yield (
                    row(
                        f"{SOURCE}/{name}",
                        "image",
                        [caption],
                        concept_of(caption),
                        SOURCE,
                        LICENSE,
                        f"{SOURCE}:{series(caption)}",
                    ),
                    path,
                )
    for path in sorted((base / "Sounds").rglob("*")):
        if path.stem in named and path.suffix in (".wav", ".mp3"):
            concept, caption = named[path.stem]
            yield (
                row(
                    f"{SOURCE}/sound/{path.stem}",
                    "audio",
                    [caption],
                    concept,
                    SOURCE,
                    LICENSE,
                    f"{SOURCE}:sound:{path.stem}",
                ),
                path,
            )
