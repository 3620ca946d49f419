"""Noto color emoji, drawn from the font and named by Unicode.

Debian package fonts-noto-color-emoji; OFL and Apache-2.
"""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series

SOURCE, LICENSE = "emoji", "OFL-1.1, Apache-2.0"
STRIKE = 109  # the only bitmap size in the font
RANGES = (
    (0x231A, 0x23FF),
    (0x2600, 0x27BF),
    (0x1F300, 0x1F64F),
    (0x1F680, 0x1F6FF),
    (0x1F900, 0x1FAFF),
)
# Words in the names of lettering and pure symbols.
SIGNS = (
    "SYMBOL",
    "SQUARED",
    "ARROW",
    "SIGN",
    "BUTTON",
    "CLOCK FACE",
    "MODIFIER",
    "HEAVY",
    "CIRCLE",
    "SQUARE",
    "DIAMOND",
    "KEYCAP",
    "SELECTOR",
    "TRIANGLE",
    "FITZPATRICK",
)


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Image.Image]]:
    """Yield (row, drawing)."""
    path = next(debian.fetch("fonts-noto-color-emoji", raw).rglob("NotoColorEmoji.ttf"))
    font = ImageFont.truetype(str(path), STRIKE, layout_engine=ImageFont.Layout.BASIC)
    blank = font.getmask("\U0010fffe").size
    for first, last in RANGES:
        for code in range(first, last + 1):
            name = unicodedata.name(chr(code), "")
            if not name or any(sign in name for sign in SIGNS):
                continue
            size = font.getmask(chr(code), mode="RGBA").size
            if size == blank or min(size) < 20:
                continue
            caption = name.lower()
            id, group = f"{SOURCE}/{code:x}", f"{SOURCE}:{series(caption)}"
            item = row(id, "image", [caption], concept_of(caption), SOURCE, LICENSE, group)
            yield item, _draw(font, chr(code))


def _draw(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    image = Image.new("RGBA", (136, 128), (255, 255, 255, 0))
    ImageDraw.Draw(image).text((0, 0), character, font=font, embedded_color=True)
    return image
