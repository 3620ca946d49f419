"""The order of Debian versions: https://www.debian.org/doc/debian-policy/ch-controlfields.html"""

import re
from typing import Any

END = (0,)  # sorts behind '~' and before anything else


def key(version: str) -> tuple[Any, ...]:
    """A sort key of [epoch:]upstream[-revision], in which 9.0 < 10.0 and 1.0~rc1 < 1.0.

    A version without a revision equals the one with revision 0.
    """
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), _part(upstream), _part(revision or "0")


def _part(text: str) -> tuple[Any, ...]:
    """Alternating runs of other characters and of digits, the first in Debian's order: '~', then
    the end of the run, then letters, then the rest."""
    pieces: list[tuple[Any, ...]] = []
    for other, digits in re.findall(r"(\D*)(\d*)", text):
        pieces.append((*(_rank(character) for character in other), END))
        pieces.append((int(digits or 0),))
    return tuple(pieces)


def _rank(character: str) -> tuple[int, ...]:
    if character == "~":
        return (-1,)
    return (1 if character.isascii() and character.isalpha() else 2, ord(character))
