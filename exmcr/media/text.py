"""Texts."""

import re
import textwrap
import unicodedata
from typing import Any

from exmcr.common.errors import BadItem
from exmcr.media import limits
from exmcr.media.guard import bad_items

# Characters without a glyph: Unicode's Default_Ignorable_Code_Point, but for the joiners U+200C
# and U+200D, the variation selectors FE00 to FE0F and the Hangul fillers, which form glyphs.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_CONTROL = "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # without those that are blanks
_INVISIBLE = re.compile(f"[{_IGNORABLE}{_CONTROL}]")
_JOINERS = re.compile("([\u200c\u200d])[\u200c\u200d]+")
# A joiner counts between two characters of a script that joins, or of emoji: neither in Latin.
_JOINER = re.compile("(?<![\u0300-\U0010ffff])[\u200c\u200d]|[\u200c\u200d](?![\u0300-\U0010ffff])")
# Variation selectors without a character that they vary.
_SELECTORS = re.compile("(?<!\\S)[\ufe00-\ufe0f]+|[\ufe00-\ufe0f]+(?=[\ufe00-\ufe0f])")
_BLANK = str.maketrans(dict.fromkeys("\u2800\u3164\uffa0", " "))  # blank glyphs
_NO_CONTENT = re.compile("[\\s\ufffd\u115f\u1160\u200c\u200d\ufe00-\ufe0f]*")


@bad_items("text")
def load(item: Any) -> str:
    """String -> the same string, cleaned. Raises BadItem for another type or no visible character.

    - Blanks, line ends and blank glyphs become single spaces.
    - Characters without a glyph are removed: controls, zero-width spaces, byte order marks, soft
      hyphens, directional marks. The joiners U+200C and U+200D stay between characters beyond
      Latin, where they form emoji and the letters of Indic and Persian words.
    - Surrogates that form a pair become its character; single ones become U+FFFD.
    - The result is in Unicode's form NFC, so that composed and decomposed letters are equal.
    - At most limits.CHARACTERS are kept, far more than any encoder here uses.
    """
    if not isinstance(item, str):
        raise BadItem(f"a text is a string, not of type {type(item).__name__}")
    # A word may be padded by any number of invisible characters, hence the margin.
    text = item[: 10 * limits.CHARACTERS]
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = _INVISIBLE.sub("", text).translate(_BLANK)
    text = _JOINER.sub("", _JOINERS.sub(r"\1", text))
    text = " ".join(_SELECTORS.sub("", text).split())
    text = unicodedata.normalize("NFC", text)[: limits.CHARACTERS].rstrip()
    if _NO_CONTENT.fullmatch(text):
        raise BadItem("empty text")
    return text


def draw(axis, text: str) -> None:
    """Write a text into a matplotlib axis."""
    axis.text(0.5, 0.5, textwrap.fill(text, 15), ha="center", va="center", fontsize=9)
