"""Qt resource bundles, written here byte by byte."""

import struct
import zlib

import pytest
import zstandard

from exmcr.corpora.mini import rcc

DIRECTORY, ZLIB, ZSTD = 2, 1, 4


def bundle(tree, version=3):
    """{name: dict (a folder) | bytes | (flag, bytes)} -> the bytes of a .rcc, as Qt's tool writes it."""
    names, data, entries = bytearray(), bytearray(), [None]

    def name_of(text):
        at = len(names)
        names.extend(
            struct.pack(">HI", len(text.encode("utf-16-be")) // 2, 0x1234)
            + text.encode("utf-16-be")
        )
        return at

    def stamp():
        return struct.pack(">q", 1_700_000_000_000) if version >= 2 else b""

    def fill(index, name_at, children):
        first = len(entries)
        entries[index] = struct.pack(">iHii", name_at, DIRECTORY, len(children), first) + stamp()
        entries.extend([None] * len(children))
        for k, (name, content) in enumerate(children.items()):
            if isinstance(content, dict):
                fill(first + k, name_of(name), content)
                continue
            flag, content = content if isinstance(content, tuple) else (0, content)
            stored = content
            if flag == ZLIB:
                stored = struct.pack(">I", len(content)) + zlib.compress(content)
            elif flag == ZSTD:
                stored = zstandard.ZstdCompressor().compress(content)
            entries[first + k] = (
                struct.pack(">iHHHi", name_of(name), flag, 0, 1, len(data)) + stamp()
            )
            data.extend(struct.pack(">I", len(stored)) + stored)

    fill(0, 0, tree)
    head = 20 + (4 if version >= 3 else 0)
    body = b"".join(entries)
    starts = (version, head, head + len(body), head + len(body) + len(data))
    flags = struct.pack(">i", 0) if version >= 3 else b""
    return b"qres" + struct.pack(">4i", *starts) + flags + body + bytes(data) + bytes(names)


LONG = b"the same again and " * 500
TREE = {
    "gcompris": {
        "src": {"plain.txt": b"plain", "zlib.svg": (ZLIB, LONG), "zstd.ogg": (ZSTD, LONG)},
        "leer": {},
    },
    "größe.png": b"\x00\xff",
    "empty": b"",
}
CONTENT = {
    "gcompris/src/plain.txt": b"plain",
    "gcompris/src/zlib.svg": LONG,
    "gcompris/src/zstd.ogg": LONG,
    "größe.png": b"\x00\xff",
    "empty": b"",
}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_file_of_the_tree_is_read_whatever_its_compression(tmp_path, version):
    path = tmp_path / "b.rcc"
    path.write_bytes(bundle(TREE, version))
    files = list(rcc.read(path))
    assert dict(files) == CONTENT and len(files) == len(CONTENT)


@pytest.mark.parametrize("content", [b"", b"qre", b"PK\x03\x04 something else"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "b.rcc").write_bytes(content)
    with pytest.raises(ValueError, match="not a Qt resource bundle"):
        list(rcc.read(tmp_path / "b.rcc"))
