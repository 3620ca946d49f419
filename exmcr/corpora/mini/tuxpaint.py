"""Tux Paint stamps: photographs and drawings with captions, some with a sound. Debian package tuxpaint-stamps-default; GPL-2."""

from pathlib import Path

import yaml

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series

SOURCE, LICENSE = "tuxpaint", "GPL-2"
# Letters, digits and operators are drawn signs; a picture of a coin is told from the next by its inscription only.
LEFT_OUT = ("symbols/",)


def items(raw: Path):
    """Yield (row, path) for every captioned stamp and every sound effect of one."""
    base = debian.fetch("tuxpaint-stamps-default", raw) / "usr/share/tuxpaint/stamps"
    named = yaml.safe_load((Path(__file__).parent / "sounds.yaml").read_text())["tuxpaint"]
    for text in sorted(base.rglob("*.txt")):
        name = text.relative_to(base).with_suffix("").as_posix()
        if name.startswith(LEFT_OUT):
            continue
        caption = (
            text.read_text("utf-8", "replace").splitlines()[0].strip().rstrip(".!")
            if text.stat().st_size
            else ""
        )
        if not caption:
            continue
        concept = concept_of(caption)
        group = f"{SOURCE}:{series(caption)}"
        image = next(
            (text.with_suffix(s) for s in (".png", ".svg") if text.with_suffix(s).is_file()), None
        )
        if image:
            yield (
                row(f"{SOURCE}/{name}", "image", [caption], concept, SOURCE, LICENSE, group),
                image,
            )
    for sound in sorted([*base.rglob("*.ogg"), *base.rglob("*.wav")]):
        name = sound.relative_to(base).with_suffix("").as_posix()
        if (
            name.startswith(LEFT_OUT) or "_desc" in sound.stem
        ):  # *_desc is a voice reading the caption
            continue
        text = sound.with_suffix(".txt")
        caption = (
            text.read_text("utf-8", "replace").splitlines()[0].strip().rstrip(".!")
            if text.is_file()
            else ""
        )
        concept, caption = named.get(sound.stem, (concept_of(caption), caption))
        # Sayings and objects that make no sound of their own have no place here.
        if (
            caption
            and len(caption.split()) <= 6
            and concept
            not in ("flag", "hat", "crossing", "turn", "candy", "apple", "gift", "xanthia")
        ):
            yield (
                row(
                    f"{SOURCE}/sound/{name}",
                    "audio",
                    [caption],
                    concept,
                    SOURCE,
                    LICENSE,
                    f"{SOURCE}:sound:{name}",
                ),
                sound,
            )
