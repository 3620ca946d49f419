"""Videos: frames of the image modality, whose vector is the normalized mean of theirs."""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.vectors import unit
from exmcr.media import limits
from exmcr.media.guard import bad_items, check_bytes, check_pixels, regular_file

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv")
FRAMES = 8  # of a video that are encoded
MISSING = "reading a video needs the package av, the extra `video` of exmcr"


def available() -> bool:
    """Whether the decoder, PyAV, is installed."""
    return importlib.util.find_spec("av") is not None


def is_video(item: Any) -> bool:
    """Whether an item is the path of a video, judging by its suffix."""
    return isinstance(item, str | os.PathLike) and Path(item).suffix.lower() in SUFFIXES


@bad_items("video")
def load(path: str | os.PathLike, count: int = FRAMES) -> np.ndarray:
    """Path -> `count` evenly spaced frames, uint8 (count, H, W, 3) RGB; all if it has fewer.

    - They are the middle ones of `count` parts of the first limits.SECONDS, equal in number of
      frames.
    - Frames of another size than the first are left out.
    - The rotation that the file states is applied. Sound, transparency, the shape of the pixels,
      and all video streams but the first are ignored.
    - Containers are MP4, QuickTime, Matroska and WebM, recognized by their content. Others are
      refused, because FFmpeg also opens playlists, which name other files and addresses.
    - A file that ends before its header says is read as far as it goes.

    Raises BadItem for files that it cannot read, and for frames beyond limits.PIXELS each or
    limits.BYTES in all; ConfigError without PyAV, since the file may be fine.
    """
    path = regular_file(path, "video")
    if not available():
        raise ConfigError(f"{path.name}: {MISSING}")
    import av

    with path.open("rb") as file:
        kind = _container(file.read(12))
        file.seek(0)
        with av.open(file, format=kind) as container:
            if not container.streams.video:
                raise BadItem("the file has no video stream")
            stream = container.streams.video[0]
            times, keys = _times(container, stream)
            count = min(count, len(times))
            targets = [times[(2 * n + 1) * len(times) // (2 * count)] for n in range(count)]
            frames = [_pixels(frame, count) for frame in _at(container, stream, targets, keys)]
    if not frames:
        raise BadItem("the video has no readable frame")
    return np.stack([frame for frame in frames if frame.shape == frames[0].shape])


def still(image: Any) -> Any:
    """A loaded image, or the middle frame of a loaded video; any other item unchanged."""
    if isinstance(image, np.ndarray) and image.ndim == 4:
        return image[len(image) // 2]
    return image


def in_frames(modality: str, items: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Loaded items with each video replaced by its frames, and the number of frames of each item.

    An item that is no video counts 1.
    """
    frames: list[Any] = []
    counts = []
    for item in items:
        video = modality == "image" and getattr(item, "ndim", 0) == 4
        frames += list(item) if video else [item]
        counts.append(len(item) if video else 1)
    return frames, counts


def means(rows: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Unit rows of frames -> of each item the normalized mean of its rows.

    counts: rows of each item. A single row stays as it is. Raises FloatingPointError for a mean of
    zero.
    """
    if len(rows) == len(counts):
        return rows
    parts = np.split(rows, np.cumsum(counts)[:-1])
    return np.concatenate(
        [p if len(p) == 1 else unit(p.mean(axis=0, keepdims=True), "video") for p in parts]
    )


def _container(head: bytes) -> str:
    """The demuxer of a file by its first bytes. Raises BadItem for other containers."""
    if head[:4] == b"\x1aE\xdf\xa3":  # EBML
        return "matroska"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return "mov"
    raise BadItem("unreadable video: neither MP4, QuickTime, Matroska nor WebM by its first bytes")


def _times(container: Any, stream: Any) -> tuple[list[int], list[int]]:
    """Times of the frames within the first limits.SECONDS, and those of them where decoding can
    begin, sorted, in units of the stream. Nothing is decoded."""
    times: list[int] = []
    keys: list[int] = []
    longest = limits.SECONDS / stream.time_base
    for packet in container.demux(stream):
        if packet.pts is None or packet.is_discard:  # the packet at the end; frames that are hidden
            continue
        if times and packet.dts is not None and packet.dts - times[0] > longest:
            break
        times.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
    if not times:
        raise BadItem("the video has no frame")
    first = min(times)
    return sorted({time for time in times if time - first <= longest}), sorted(keys)


def _at(container: Any, stream: Any, targets: list[int], keys: list[int]) -> Iterator[Any]:
    """Decoded frames, the first at or after each of these times."""
    frames: Iterator[Any] = iter(())
    reached: int | None = None
    for target in targets:
        key = max((key for key in keys if key <= target), default=targets[0])
        if reached is None or key > reached:
            container.seek(key, stream=stream)
            frames = container.decode(stream)
        for frame in frames:
            check_pixels(frame.width, frame.height)
            if frame.pts is not None and frame.pts >= target:
                reached = frame.pts
                yield frame
                break


def _pixels(frame: Any, count: int) -> np.ndarray:
    """A decoded frame as uint8 (H, W, 3), upright. count: of the frames that are kept."""
    check_bytes(count * frame.width * frame.height * 3, "the frames of the video together")
    turns = round(frame.rotation / 90) % 4  # counterclockwise
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
