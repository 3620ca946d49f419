"""Emoji in four styles, named by Unicode (CLDR).

npm packages of the icon sets (file icons.json: the body of an SVG per name): Noto (Apache-2.0),
Fluent in its flat style (MIT), Twemoji (CC-BY-4.0), OpenMoji (CC-BY-SA-4.0).
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.items import row
from exmcr.corpora.mini import npm
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series

SOURCE = "emoji"
# Style -> package, license.
STYLES = {
    "noto": ("@iconify-json/noto", "Apache-2.0"),
    "fluent": ("@iconify-json/fluent-emoji-flat", "MIT"),
    "twemoji": ("@iconify-json/twemoji", "CC-BY-4.0"),
    "openmoji": ("@iconify-json/openmoji", "CC-BY-SA-4.0"),
}
# Words in the names of variants, of flags, and of lettering and pure symbols.
SIGNS = {
    *("tone", "right", "flag", "symbol", "squared", "arrow", "sign", "button", "oclock", "thirty"),
    *("heavy", "circle", "square", "diamond", "keycap", "triangle", "mark", "blood", "prohibited"),
    *("letter", "letters", "number", "numbers", "component", "family", "kiss", "couple", "zodiac"),
}


def items(raw: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield (row, content of the SVG). The styles of one emoji are one group."""
    sets = {style: _read(npm.fetch(STYLES[style][0], raw)) for style in STYLES}
    # A name of one set only is an invention of its authors, often a brand.
    shared = Counter(name for icons in sets.values() for name in icons["icons"])
    for style, icons in sets.items():
        for name, icon in sorted(icons["icons"].items()):
            if shared[name] > 1 and not SIGNS & set(name.split("-")):
                caption = name.replace("-", " ")
                id, group = f"{SOURCE}/{style}/{name}", f"{SOURCE}:{series(caption)}"
                concept, license = concept_of(caption), STYLES[style][1]
                item = row(id, "image", [caption], concept, SOURCE, license, group)
                yield item, _svg(icon, icons)


def _read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "icons.json").read_text("utf-8"))


def _svg(icon: dict[str, Any], icons: dict[str, Any]) -> bytes:
    """An SVG file around the body of an icon; sizes that an icon lacks are those of its set."""
    left, top, width, height = (
        icon.get(key, icons.get(key, default))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    )
    head = f'xmlns="http://www.w3.org/2000/svg" viewBox="{left} {top} {width} {height}"'
    return f'<svg {head} width="{width}" height="{height}">{icon["body"]}</svg>'.encode()
