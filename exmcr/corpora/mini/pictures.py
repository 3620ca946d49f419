"""Bring pictures of any kind to one: RGB PNG on white, longest side at most SIDE pixels."""

import io
import re
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from exmcr import media
from exmcr.common.errors import BadItem

SIDE = 256
_NUMBERS = re.compile(r"[\d_]+")


def store(source: Path | bytes | Image.Image, target: Path, svg: bool = False) -> None:
    """Render or convert one picture to `target`. Raises BadItem when it cannot be read or shows nothing."""
    if svg:
        given = (
            {"svg_path": str(source)}
            if isinstance(source, Path)
            else {"svg_string": source.decode("utf-8", "replace")}
        )
        try:
            # Clip-art in points and millimeters needs a resolution; system fonts differ between machines.
            source = bytes(
                resvg_py.svg_to_bytes(
                    **given, width=SIDE, dpi=96, background="#ffffff", skip_system_fonts=True
                )
            )
        except ValueError as error:
            raise BadItem(f"unreadable SVG: {error}") from error
    try:
        image = (
            source
            if isinstance(source, Image.Image)
            else Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        )
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise BadItem(f"unreadable image: {error}") from error
    pixels = Image.fromarray(media.images.load(image))
    pixels.thumbnail((SIDE, SIDE))
    if np.asarray(pixels).std() < 1:
        raise BadItem("blank image")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    pixels.save(part, "PNG", compress_level=1)
    part.rename(target)


def title_of(stem: str) -> str:
    """ "big_dog_01" -> "big dog": a file name as words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    return " ".join(_NUMBERS.sub(" ", spaced).replace("-", " ").split()).lower()


def series(title: str) -> str:
    """Titles that differ in case, numbers and punctuation only are one series: its name."""
    return " ".join(re.findall(r"[^\W\d_]+", title.lower()))
