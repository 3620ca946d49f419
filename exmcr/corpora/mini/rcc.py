"""Read Qt resource bundles (.rcc), in which gcompris packs its pictures and sounds.

Format: https://doc.qt.io/qt-6/resources.html, and the tree that Qt's `rcc` tool writes (big-endian
throughout).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

DIRECTORY, ZLIB, ZSTD = 2, 1, 4  # flags of an entry


def read(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path inside the bundle, content). Raises ValueError if it is no resource bundle."""
    blob = path.read_bytes()
    if blob[:4] != b"qres":
        raise ValueError(f"{path} is not a Qt resource bundle")
    version, tree, data, names = struct.unpack_from(">4i", blob, 4)
    size = 14 if version < 2 else 22  # of an entry: newer versions append a modification time

    def walk(index: int, parent: str) -> Iterator[tuple[str, bytes]]:
        entry = tree + index * size
        name, flags = struct.unpack_from(">iH", blob, entry)
        here = parent if index == 0 else f"{parent}/{_name(blob, names + name)}"
        if flags & DIRECTORY:
            count, first = struct.unpack_from(">ii", blob, entry + 6)
            for child in range(first, first + count):
                yield from walk(child, here)
        else:
            (offset,) = struct.unpack_from(">i", blob, entry + 10)
            yield here.lstrip("/"), _content(blob, data + offset, flags)

    yield from walk(0, "")


def _name(blob: bytes, start: int) -> str:
    (length,) = struct.unpack_from(">H", blob, start)
    start += 6  # length, then a hash
    return blob[start : start + 2 * length].decode("utf-16-be")


def _content(blob: bytes, start: int, flags: int) -> bytes:
    (length,) = struct.unpack_from(">I", blob, start)
    content = blob[start + 4 : start + 4 + length]
    if flags & ZLIB:
        return zlib.decompress(content[4:])
    if flags & ZSTD:
        return zstandard.ZstdDecompressor().stream_reader(content).read()
    return content
