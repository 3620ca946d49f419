"""Images, and videos as several of them."""

import os
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media import limits, videos
from exmcr.media.guard import bad_items, check_pixels, regular_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif", ".tif", ".tiff")
# Formats that Pillow recognizes by a signature. TGA has none, so it is read by its suffix only. EPS
# and WMF are left out because Pillow runs other programs to draw them.
FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "MPO", "JPEG2000", "PPM", "ICO", "ICNS"),
    *("PSD", "QOI", "SGI", "DDS", "PCX", "XPM"),
)
STRIP = 1 << 22  # pixels that are converted at a time
_TURNS = {  # EXIF orientation -> upright pixels
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


@bad_items("image")
def load(item: Any) -> np.ndarray:
    """Path, open file, PIL image or uint8 array -> uint8 (H, W, 3) RGB.

    - The path of a video, by its suffix -> frames, uint8 (n, H, W, 3): see exmcr.media.videos.
    - Of an animation, the first frame. A PIL image stays at its own frame.
    - The EXIF orientation of a file, and of a PIL image as Image.open returned it, is applied. A
      PIL image that has been processed is taken as it is, because turning it leaves the EXIF tag
      behind. EXIF data that cannot be read are ignored.
    - Transparency, also premultiplied, and a transparent color or gray, is composited on white.
    - 16-bit gray is scaled by 65535, whatever its values. 32-bit integers (mode I) are taken for
      16-bit gray, but refused if all are below 256, since 8-bit gray is as likely. Floats (mode F)
      are in [0, 1], or in [0, 255] with a maximum of at least 64; others are refused, as are NaNs.
    - A JPEG above limits.PIXELS is decoded at 1/2, 1/4 or 1/8 of its size; others are refused.

    Raises BadItem for arrays of another type or shape, for files that Pillow cannot read to their
    end, and for images beyond the limits of exmcr.media.limits.
    """
    from PIL import Image

    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3 or 0 in item.shape:
            raise BadItem(f"image array must be uint8 (H, W, 3), got {item.dtype} {item.shape}")
        check_pixels(item.shape[1], item.shape[0])
        return item
    if isinstance(item, Image.Image):
        return _first_frame(item)
    if videos.is_video(item):
        return videos.load(item)
    if isinstance(item, str | os.PathLike):
        path = regular_file(item, "image")
        with path.open("rb") as file, _opened(file, path.suffix.lower() == ".tga") as image:
            return _upright(image)
    if hasattr(item, "read"):
        return _upright(_opened(item))
    raise BadItem(f"an image is a path, a PIL image or an array, not a {type(item).__name__}")


def _opened(file: Any, tga: bool = False) -> Any:
    from PIL import Image, UnidentifiedImageError

    Image.init()
    formats = ["TGA"] if tga else [name for name in FORMATS if name in Image.OPEN]
    try:
        return Image.open(file, formats=formats)
    except Image.DecompressionBombError as error:
        raise BadItem(
            f"image has more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels; raise "
            "PIL.Image.MAX_IMAGE_PIXELS and exmcr.media.limits.PIXELS to read it"
        ) from error
    except UnidentifiedImageError as error:  # its message is the repr of a file object
        raise BadItem(
            "unreadable image: no known image format (JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF, ...), "
            "or damaged at its start"
        ) from error


def _first_frame(image: Any) -> np.ndarray:
    """The pixels of a PIL image at its first frame; the image returns to its own."""
    frame = image.tell()
    if frame == 0:
        return _upright(image)
    image.seek(0)
    try:
        return _upright(image)
    finally:
        image.seek(frame)


def _upright(image: Any) -> np.ndarray:
    from PIL import ImageFile

    if image.format in ("JPEG", "MPO") and getattr(image, "tile", None):
        for part in (2, 4, 8):
            if image.width * image.height > limits.PIXELS:
                width, height = image.size
                image.draft(None, (max(1, width // part), max(1, height // part)))
    check_pixels(*image.size)
    sixteen = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    image.load()
    check_pixels(*image.size)
    pixels = _rgb(image, sixteen)
    if isinstance(image, ImageFile.ImageFile):
        pixels = _TURNS.get(_orientation(image), lambda same: same)(pixels)
    return np.ascontiguousarray(pixels)


def _orientation(image: Any) -> int:
    """The orientation in the EXIF data, 1 to 8; 1 if they are damaged."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # the one tag that is used may be the one that is damaged
        return 1


def _rgb(image: Any, sixteen: bool) -> np.ndarray:
    """A loaded PIL image -> uint8 (H, W, 3), by strips, which keep the memory low.

    sixteen: whether Pillow reduced 16-bit colors to 8 bits, but not the color that is transparent.
    """
    clear = image.info.get("transparency")
    if sixteen and image.mode == "RGB" and isinstance(clear, tuple):
        clear = tuple(value >> 8 for value in clear)
    scale = None if image.mode in ("1", "L", "RGB") else _scale(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if scale is None:
            if clear is not None:
                strip.info["transparency"] = clear
            pixels[top : top + rows] = _strip(strip)
            continue
        values = np.asarray(strip, dtype=np.float32)
        gray = (np.clip(values / scale, 0, 1) * 255).astype(np.uint8)
        if isinstance(clear, int):
            gray[values == clear] = 255
        pixels[top : top + rows] = gray[:, :, None]
    return pixels


def _strip(image: Any) -> np.ndarray:
    """8 bits per channel, in any mode -> uint8 (H, W, 3) on white."""
    from PIL import Image

    if image.mode in ("RGBa", "La"):
        image = image.convert({"RGBa": "RGBA", "La": "LA"}[image.mode])
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _scale(image: Any) -> float | None:
    """The value of white in a picture of more than 8 bits, None for 8 bits."""
    if image.mode.startswith("I;16"):
        return 65535.0
    if image.mode not in ("I", "F"):
        return None
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise BadItem("image has NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    if image.mode == "I":
        if low < 0 or high > 65535:
            raise BadItem(f"32-bit image holds {low:g} to {high:g}; convert it to 8 or 16 bits")
        if 0 < high < 256 and image.format not in ("PNG", "PPM"):
            raise BadItem(
                "32-bit image holds no value above 255, so that its scale is unknown; "
                "convert it to mode L or I;16"
            )
        return 65535.0
    if low < -1e-3 or not (high <= 1.001 or 64 <= high <= 255.1):
        raise BadItem(
            f"float image holds {low:g} to {high:g}, neither 0 to 1 nor 0 to 255; "
            "convert it to 8 bits"
        )
    return 1.0 if high <= 1.001 else 255.0


def draw(axis, image: np.ndarray) -> None:
    """Show an image, uint8 (H, W, 3), or the middle frame of a video in a matplotlib axis."""
    axis.imshow(videos.still(image))
