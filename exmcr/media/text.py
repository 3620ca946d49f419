"""Texts."""

import textwrap

from exmcr.common.errors import BadItem


def load(item) -> str:
    """String -> the same with single spaces. Raises BadItem for anything else, or when nothing is left."""
    if not isinstance(item, str):
        raise BadItem(f"a text is a string, not of type {type(item).__name__}")
    text = " ".join(item.split())
    if not text:
        raise BadItem("empty text")
    return text


def draw(axis, text: str) -> None:
    """Write a text into a matplotlib axis."""
    words = textwrap.fill(text, 15)
    axis.text(0.5, 0.5, words, ha="center", va="center", fontsize=9)
