"""Texts."""

import textwrap
from typing import Any

from exmcr.common.errors import BadItem


def load(item: Any) -> str:
    """String -> the same string with single spaces. Raises BadItem for another type or no words."""
    if not isinstance(item, str):
        raise BadItem(f"a text is a string, not of type {type(item).__name__}")
    text = " ".join(item.split())
    if not text:
        raise BadItem("empty text")
    return text


def draw(axis, text: str) -> None:
    """Write a text into a matplotlib axis."""
    axis.text(0.5, 0.5, textwrap.fill(text, 15), ha="center", va="center", fontsize=9)
