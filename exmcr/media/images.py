"""Images."""

from pathlib import Path

import numpy as np

from exmcr.common.errors import BadItem


def load(item) -> np.ndarray:
    """Path, PIL image or uint8 array -> uint8 (H, W, 3). The first frame of an animation; 16-bit gray is scaled.

    Raises BadItem for another array, or what Pillow cannot read."""
    from PIL import Image, ImageOps

    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3 or 0 in item.shape:
            raise BadItem(f"image array must be uint8 (H, W, 3), got {item.dtype} {item.shape}")
        return item
    if not isinstance(item, (str, Path, Image.Image)) and not hasattr(item, "read"):
        raise BadItem(f"an image is a path, a PIL image or an array, not a {type(item).__name__}")
    try:
        image = item if isinstance(item, Image.Image) else Image.open(item)
        image.seek(0)
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I") or image.mode == "F":
            values = np.asarray(image, dtype=np.float32)
            # 16-bit files use the whole range of their type; Pillow's own convert() would clip them to white.
            top = 65535.0 if values.max() > 255 else 255.0
            image = Image.fromarray((np.clip(values / top, 0, 1) * 255).astype(np.uint8))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise BadItem(f"unreadable image: {error}") from error
    return pixels


def draw(axis, image: np.ndarray) -> None:
    """Show an image, uint8 (H, W, 3), in a matplotlib axis."""
    axis.imshow(image)
