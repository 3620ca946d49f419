"""Raw items in memory: one loader per modality, each of which names what is wrong with a bad file.

modality   in memory                                                  on disk
text       str, not empty                                             the string itself
image      uint8 (H, W, 3) RGB, transparency laid on white            whatever Pillow reads
audio      Sound(samples float32 (n,) mono in [-1, 1], rate in Hz)    whatever libsndfile reads
points     float32 (n, 3), finite                                     see exmcr/points.py
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from exmcr.errors import BadItem

MODALITIES = ("text", "image", "audio", "points")


class Sound(NamedTuple):
    """A sound in memory, finite and not silent."""

    samples: np.ndarray  # float32 (n,), mono
    rate: int  # Hz


def load_text(item) -> str:
    """String -> the same with single spaces. Raises BadItem for anything else, or when nothing is left."""
    if not isinstance(item, str):
        raise BadItem(f"a text is a string, not of type {type(item).__name__}")
    text = " ".join(item.split())
    if not text:
        raise BadItem("empty text")
    return text


def load_image(item) -> np.ndarray:
    """Path, PIL image or uint8 array -> uint8 (H, W, 3). The first frame of an animation; 16-bit grey is scaled.

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


def load_audio(item, start: float = 0.0, seconds: float | None = None) -> Sound:
    """Path, or (samples (n,) or (n, channels), rate) -> mono Sound. `start` and `seconds` cut a window out of a file.

    Raises BadItem for what libsndfile cannot read, other shapes, and an empty, silent (all below 1e-4) or not finite sound."""
    import soundfile

    if isinstance(item, (str, Path)):
        if not Path(item).is_file():
            raise BadItem(f"unreadable sound: no file {item}")  # libsndfile calls it a system error
        try:
            with soundfile.SoundFile(item) as file:
                rate = file.samplerate
                file.seek(min(int(start * rate), len(file)))
                samples = file.read(-1 if seconds is None else int(seconds * rate), dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            raise BadItem(f"unreadable sound: {error}") from error
    else:
        try:
            samples, rate = item
            samples, rate = np.asarray(samples), int(rate)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadItem(f"a sound is a path or (samples, rate), not a {type(item).__name__} that cannot be taken apart so") from error
        if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf" or rate <= 0:
            raise BadItem(f"a sound is (n,) or (n, channels) numbers and a rate above 0 Hz, got {samples.dtype} {samples.shape} at {rate} Hz")
        if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
            raise BadItem(f"a sound array is (n, channels), got {samples.shape}; transpose it")
        if np.issubdtype(samples.dtype, np.integer):
            samples = samples / np.iinfo(samples.dtype).max
        samples = samples.astype(np.float32)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if samples.size == 0:
        raise BadItem("empty sound")
    if not np.isfinite(samples).all():
        raise BadItem("sound has NaN or infinite samples")
    if np.abs(samples).max() < 1e-4:
        raise BadItem("silent sound")
    return Sound(np.ascontiguousarray(samples), int(rate))


def load_points(item) -> np.ndarray:
    """Path or array -> float32 (n, 3). Extra columns (colours, normals) are dropped.

    Raises BadItem for an unreadable file, other shapes, an empty or not finite cloud, and points that all coincide."""
    from exmcr import points

    if isinstance(item, (str, Path)):
        cloud = points.read(item)
    else:
        try:
            cloud = np.asarray(item)
        except ValueError as error:  # rows of unequal length
            raise BadItem(f"not an array: {error}") from error
    if cloud.dtype.kind not in "iuf":
        raise BadItem(f"a cloud must hold numbers, not {cloud.dtype}")
    if cloud.ndim != 2 or cloud.shape[1] < 3:
        raise BadItem(f"a cloud must be (n, 3), got {cloud.shape}")
    cloud = np.ascontiguousarray(cloud[:, :3], dtype=np.float32)
    if len(cloud) == 0:
        raise BadItem("empty cloud")
    if not np.isfinite(cloud).all():
        raise BadItem("cloud has NaN or infinite coordinates")
    if float(np.ptp(cloud, axis=0).max()) == 0:
        raise BadItem("all points of the cloud coincide")
    return cloud


LOADERS = {"text": load_text, "image": load_image, "audio": load_audio, "points": load_points}


def load(modality: str, item):
    """Bring one raw item into memory. Raises BadItem with the reason; see the table above for the types."""
    return LOADERS[modality](item)
