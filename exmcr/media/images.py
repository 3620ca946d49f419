"""Images."""

from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def load(item: Any) -> np.ndarray:
    """Path, open file, PIL image or uint8 array -> uint8 (H, W, 3) RGB.

    Takes the first frame of an animation, applies the EXIF orientation, composites transparency on
    white, and scales 16-bit gray to 8 bits. Raises BadItem for other arrays and for files that
    Pillow cannot read.
    """
    from PIL import Image, ImageOps

    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3 or 0 in item.shape:
            raise BadItem(f"image array must be uint8 (H, W, 3), got {item.dtype} {item.shape}")
        return item
    if not isinstance(item, str | Path | Image.Image) and not hasattr(item, "read"):
        raise BadItem(f"an image is a path, a PIL image or an array, not a {type(item).__name__}")
    try:
        image = item if isinstance(item, Image.Image) else Image.open(item)
        image.seek(0)
        return _rgb(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise BadItem(f"unreadable image: {error}") from error


def _rgb(image) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        # 16-bit files use the whole range of their type; Pillow's convert() would clip it to white.
        top = 65535.0 if values.max() > 255 else 255.0
        image = Image.fromarray((np.clip(values / top, 0, 1) * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def draw(axis, image: np.ndarray) -> None:
    """Show an image, uint8 (H, W, 3), in a matplotlib axis."""
    axis.imshow(image)
