"""Pictures of any kind, stored as RGB PNG on white, the longer side at most SIDE pixels."""

import io
import re
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.common.files import atomic_write

SIDE = 256
_NUMBERS = re.compile(r"[\d_]+")


def store(source: Path | bytes | Image.Image, target: Path, svg: bool = False) -> None:
    """Render or convert one picture and write it to `target`.

    source: a file, its content, or an image; svg: whether the content is SVG.

    Raises BadItem if it is unreadable or blank.
    """
    if svg and not isinstance(source, Image.Image):
        source = _rasterized(source)
    pixels = Image.fromarray(media.images.load(_opened(source)))
    pixels.thumbnail((SIDE, SIDE))
    if np.asarray(pixels).std() < 1:
        raise BadItem("blank image")
    with atomic_write(target) as draft:
        pixels.save(draft, "PNG", compress_level=1)


def _rasterized(source: Path | bytes) -> bytes:
    text = source.decode("utf-8", "replace") if isinstance(source, bytes) else None
    try:
        # Sizes in points and millimeters need a resolution. System fonts differ between machines.
        content = resvg_py.svg_to_bytes(
            svg_path=str(source) if text is None else None,
            svg_string=text,
            width=SIDE,
            dpi=96,
            background="#ffffff",
            skip_system_fonts=True,
        )
    except ValueError as error:
        raise BadItem(f"unreadable SVG: {error}") from error
    return bytes(content)


def _opened(source: Path | bytes | Image.Image) -> Image.Image:
    try:
        if isinstance(source, Image.Image):
            image = source
        else:
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise BadItem(f"unreadable image: {error}") from error
    return image


def title_of(stem: str) -> str:
    """A file name as words: "big_dog_01" -> "big dog"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    return " ".join(_NUMBERS.sub(" ", spaced).replace("-", " ").split()).lower()


def series(title: str) -> str:
    """Name of the series of a title: equal for titles that differ only in case, numbers and
    punctuation."""
    return " ".join(re.findall(r"[^\W\d_]+", title.lower()))
