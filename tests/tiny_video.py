"""Videos of a few gray or colored frames, written by PyAV."""

import numpy as np
import pytest

CODECS = {".mp4": "mpeg4", ".m4v": "mpeg4", ".mov": "mpeg4", ".mkv": "ffv1", ".webm": "libvpx"}
MUXERS = {".mkv": "matroska", ".m4v": "mp4"}  # where they are not named as the suffix


def grays(levels, height=24, width=32):
    """One plain frame of each level, uint8 (n, height, width, 3)."""
    return np.stack([np.full((height, width, 3), level, np.uint8) for level in levels])


def video(path, frames, rate=10, **options):
    """Write frames (n, H, W, 3), a key frame every 12. Returns the path."""
    av = pytest.importorskip("av", reason="the extra `video` is not installed")
    suffix = path.suffix
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = MUXERS.get(suffix, suffix[1:])
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(CODECS[suffix], rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if CODECS[suffix] == "ffv1" else "yuv420p"
        stream.gop_size, stream.bit_rate = 12, 4_000_000
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return path
