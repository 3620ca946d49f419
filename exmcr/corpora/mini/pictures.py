"""Pictures of any kind, stored as RGB PNG on white, the longer side at most SIDE pixels."""

import io
import re
from contextlib import suppress
from pathlib import Path
from xml.parsers import expat

import numpy as np
import resvg_py
from PIL import Image

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.common.files import atomic_write

SIDE = 256
MAX_SVG = 16 << 20  # bytes
MAX_DEPTH = 200  # of nested elements; about a thousand overflow the stack of the renderer
# A reference to another file. Those inside the file begin with # or data:.
# A name is tried from its start alone, which keeps long texts linear.
_REFERENCE = re.compile(
    r"""(?<![\w:.-])[\w:.-]*href\s*=\s*(?:"(?!#|data:)[^"]*"|'(?!#|data:)[^']*')"""
)
_NUMBERS = re.compile(r"[\d_]+")
_GAPS = str.maketrans("-#", "  ")


def store(source: Path | bytes | Image.Image, target: Path, svg: bool = False) -> None:
    """Render or convert one picture and write it to `target`.

    source: a file, its content, or an image; svg: whether the content is SVG.

    Files that an SVG refers to are left out of it. Raises BadItem if the picture is unreadable, too
    large or blank.
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
    """An SVG as PNG that fits into SIDE x SIDE."""
    content = source if isinstance(source, bytes) else source.read_bytes()
    if len(content) > MAX_SVG:
        raise BadItem(f"an SVG of {len(content)} bytes is too large")
    if _depth(content) > MAX_DEPTH:
        raise BadItem(f"an SVG with more than {MAX_DEPTH} nested elements")
    try:
        # Sizes in points and millimeters need a resolution. System fonts differ between machines.
        rendered = resvg_py.svg_to_bytes(
            svg_string=_REFERENCE.sub("", content.decode("utf-8", "replace")),
            width=SIDE,
            height=SIDE,
            dpi=96,
            background="#ffffff",
            skip_system_fonts=True,
        )
    except ValueError as error:
        raise BadItem(f"unreadable SVG: {error}") from error
    return bytes(rendered)


def _depth(content: bytes) -> int:
    """Depth of nested elements; of broken XML, of the part before the error."""
    depth = deepest = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    with suppress(expat.ExpatError):
        parser.Parse(content, True)
    return deepest


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
    """A file name as words: "big_dog_01" -> "big dog", "horse#1" -> "horse"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    return " ".join(_NUMBERS.sub(" ", spaced).translate(_GAPS).split()).lower()


def series(title: str) -> str:
    """Name of the series of a title: equal for titles that differ only in case, numbers and
    punctuation."""
    return " ".join(re.findall(r"[^\W\d_]+", title.lower()))
