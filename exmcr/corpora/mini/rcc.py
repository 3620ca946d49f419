"""Read Qt resource bundles (.rcc), the container gcompris ships its pictures and sounds in.

Format: https://doc.qt.io/qt-6/resources.html and the tree that Qt's `rcc` tool writes (big-endian throughout)."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

DIRECTORY, ZLIB, ZSTD = 2, 1, 4


def read(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path inside the bundle, content). Raises ValueError when the file is not a resource bundle."""
    blob = path.read_bytes()
    if blob[:4] != b"qres":
        raise ValueError(f"{path} is not a Qt resource bundle")
    version, tree, data, names = struct.unpack_from(">4i", blob, 4)
    entry = 14 if version < 2 else 22  # newer versions append a modification time

    def walk(index: int, parent: str):
        at = tree + index * entry
        name_at, flags = struct.unpack_from(">iH", blob, at)
        (length,) = struct.unpack_from(">H", blob, names + name_at)
        start = names + name_at + 6  # length, then a hash
        here = (
            parent
            if index == 0
            else f"{parent}/{blob[start : start + 2 * length].decode('utf-16-be')}"
        )
        if flags & DIRECTORY:
            count, first = struct.unpack_from(">ii", blob, at + 6)
            for child in range(first, first + count):
                yield from walk(child, here)
            return
        (offset,) = struct.unpack_from(">i", blob, at + 10)
        (size,) = struct.unpack_from(">I", blob, data + offset)
        content = blob[data + offset + 4 : data + offset + 4 + size]
        if flags & ZLIB:
            content = zlib.decompress(content[4:])
        elif flags & ZSTD:
            content = zstandard.ZstdDecompressor().stream_reader(content).read()
        yield here.lstrip("/"), content

    yield from walk(0, "")
