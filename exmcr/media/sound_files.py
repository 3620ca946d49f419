"""Sounds read from files, block by block, so that memory holds only the part that is used."""

import contextlib
import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media.guard import regular_file

BLOCK = 1 << 20  # samples that are decoded at a time
LOSSY = ("MP3", "OGG")  # decoders that are not exact behind a seek
# Chunks that may follow the samples of a WAV file. Source: the RIFF and Broadcast Wave formats.
_CHUNKS = (b"LIST", b"id3 ", b"ID3 ", b"JUNK", b"bext", b"cue ", b"fact", b"smpl", b"PEAK", b"inst")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A soundfile.SoundFile of an existing file. Raises BadItem if libsndfile cannot read it.

    A WAV file whose data size is 0, as programs write it that cannot rewind, is read to its end.
    """
    import soundfile

    # By descriptor, because libsndfile refuses names that are not UTF-8, and soundfile takes the
    # name for the format if it ends in .raw.
    with regular_file(path, "sound").open("rb", buffering=0) as file:
        size_at = _unsized_data(file)
        file.seek(0)
        source = file.fileno() if size_at is None else _Sized(file, size_at)
        try:
            sound = _stream()(source, closefd=False)
        except soundfile.LibsndfileError as error:
            raise BadItem(f"unreadable sound: {path.name}: {error.error_string}") from error
        with sound:
            yield sound


def blocks(sound: Any, start: float, seconds: float | None) -> Iterator[np.ndarray]:
    """Yield the frames of a window in blocks (n, channels), float32, or float64 if stored so.

    start, seconds: of the window; None reads to the end. A file that ends before its header says
    is read as far as it goes.
    """
    skipped = int(start * sound.samplerate)
    left = None if seconds is None else int(seconds * sound.samplerate)
    size = max(1, BLOCK // sound.channels)
    dtype = "float64" if sound.subtype == "DOUBLE" else "float32"
    if sound.format not in LOSSY:
        sound.seek(min(skipped, sound.frames))
        skipped = 0
    while left is None or left > 0:
        wanted = size if left is None else min(size, skipped + left)
        block = sound.read(wanted, dtype=dtype, always_2d=True)
        if not len(block):
            return
        if skipped:
            block, skipped = block[skipped:], max(0, skipped - len(block))
        left = None if left is None else left - len(block)
        if len(block):
            yield block


@cache
def _stream() -> type:
    import soundfile

    class Stream(soundfile.SoundFile):
        """Read from front to end. soundfile seeks after each block of a seekable file, which fails
        at the end of FLAC files of unknown length and disturbs the decoder of MP3."""

        def seekable(self) -> bool:
            return False

    return Stream


def _unsized_data(file: io.RawIOBase | Any) -> int | None:
    """Position of the data size of a WAV file if it is 0 though samples follow, else None."""
    if file.read(12)[::8] != b"R" + b"W":
        return None
    file.seek(12)
    end = file.seek(0, io.SEEK_END)
    position = 12
    while position + 8 <= end:
        file.seek(position)
        head = file.read(8)
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            following = file.read(4)
            unsized = size == 0 and end - position > 8 and following not in _CHUNKS
            return position + 4 if unsized else None
        position += 8 + size + size % 2
    return None


class _Sized:
    """A WAV file in which the data size, 0 in the file, reads as everything to the end."""

    def __init__(self, file: Any, size_at: int):
        self.file, self.size_at = file, size_at
        size = min(file.seek(0, io.SEEK_END) - size_at - 4, 0xFFFFFF00)
        self.size = size.to_bytes(4, "little")
        file.seek(0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def read(self, count: int) -> bytes:
        at = self.file.tell()
        content = bytearray(self.file.read(count))
        for place, value in enumerate(self.size, self.size_at - at):
            if 0 <= place < len(content):
                content[place] = value
        return bytes(content)
