"""GCompris: an educational suite; word pictures, animals and instruments with their sounds. Debian package gcompris-qt-data;
licenses differ by file (GPL-3, CC-BY-SA, CC0), listed in the package."""

from pathlib import Path

import yaml

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian, rcc
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series, title_of

SOURCE, LICENSE = "gcompris", "mixed free licenses (GPL-3, CC-BY-SA, CC0), listed in the package"
# Bundle: folders inside it whose picture files are named after what they show.
PICTURES = {
    "lang": ("words/",),
    "categorization": ("images/",),
    "instruments": ("resource/",),
    "explore_farm_animals": ("animals/",),
    "explore_world_animals": ("animals/",),
    "babymatch": ("images/",),
    "memory": ("resource/",),
}
NOT_PICTURES = (
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


def items(raw: Path):
    """Yield (row, content as bytes, suffix)."""
    base = next(debian.fetch("gcompris-qt-data", raw).rglob("rcc"))
    named = yaml.safe_load((Path(__file__).parent / "sounds.yaml").read_text())["gcompris"]
    for bundle in sorted({*PICTURES, *SOUNDS}):
        for name, content in rcc.read(base / f"{bundle}.rcc"):
            path = Path(name)
            short = name.removeprefix("gcompris/src/").removeprefix("activities/")
            if bundle in SOUNDS and path.suffix in (".ogg", ".wav") and path.stem in named:
                concept, caption = named[path.stem]
                yield (
                    row(
                        f"{SOURCE}/sound/{short}",
                        "audio",
                        [caption],
                        concept,
                        SOURCE,
                        LICENSE,
                        f"{SOURCE}:sound:{short}",
                    ),
                    content,
                    path.suffix,
                )
            inside = bundle in PICTURES and any(folder in name for folder in PICTURES[bundle])
            if (
                inside
                and path.suffix in (".svg", ".png", ".webp", ".jpg")
                and not any(n in short for n in NOT_PICTURES)
            ):
                caption = title_of(path.stem)
                if len(caption) > 2:
                    made = row(
                        f"{SOURCE}/{short}",
                        "image",
                        [caption],
                        concept_of(caption),
                        SOURCE,
                        LICENSE,
                        f"{SOURCE}:{series(caption)}",
                    )
                    yield made, content, path.suffix
