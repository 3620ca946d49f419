"""Read the members of a tar that may be damaged or hostile.

A reader of its own: the `tarfile` of Python 3.11 and 3.12 before summer 2025 can be led out of the
folder (CVE-2025-4517), and every version takes a damaged header for the end of the archive.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BLOCK = 512
CHUNK = 1 << 20
MAX_HEADER = 1 << 20  # bytes of one long name or of one set of pax records
FILE, FOLDER, HARD_LINK, SYMBOLIC_LINK = "file", "folder", "hard link", "symbolic link"
_KINDS = {b"0": FILE, b"\0": FILE, b"1": HARD_LINK, b"2": SYMBOLIC_LINK, b"5": FOLDER}


class Damaged(ValueError):
    """The archive is truncated, malformed or hostile."""


@dataclass
class Member:
    """One member of a tar. link: target of a link; content: its bytes, read at most once."""

    name: str
    kind: str
    link: str
    content: Iterator[bytes]


class _Stream:
    """A decompressed tar, which may not be longer than `limit` bytes."""

    def __init__(self, file: Any, limit: int):
        self.file, self.left = file, limit

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises Damaged if the tar ends before, or is too long."""
        self.left -= size
        if self.left < 0:
            raise Damaged("it unpacks to far more than its size")
        content = self.file.read(size)
        while len(content) < size:
            more = self.file.read(size - len(content))
            if not more:
                raise Damaged("it is truncated")
            content += more
        return content

    def check_end(self) -> None:
        """Read the padding behind the last member, and with it the checksums of the compressor."""
        while content := self.file.read(CHUNK):
            self.left -= len(content)
            if content.strip(b"\0") or self.left < 0:
                raise Damaged("data follows its end")


def members(file: Any, limit: int) -> Iterator[Member]:
    """Yield the members of an uncompressed tar with ustar, GNU and pax headers.

    file: anything with `read`; limit: its largest length in bytes. Raises Damaged, ValueError for a
    malformed field, or what `file` raises.
    """
    stream = _Stream(file, limit)
    renamed: dict[str, str] = {}  # from the long names and pax records before a header
    while (block := stream.take(BLOCK)).strip(b"\0"):
        if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
            raise Damaged("the checksum of a header is wrong")
        kind, size = block[156:157], _number(block[124:136])
        if kind in b"LKxg":
            if size > MAX_HEADER:
                raise Damaged("a name is too long")
            renamed |= _long_name(kind, stream.take(size + -size % BLOCK)[:size])
            continue
        name = renamed.pop("path", "") or _name(block)
        link = renamed.pop("linkpath", "") or _text(block[157:257])
        size = int(renamed.pop("size", size))
        if kind not in _KINDS or renamed:
            raise Damaged(f"{name} is no file, folder or link")
        if size < 0 or (size and _KINDS[kind] != FILE):
            raise Damaged(f"{name} has an impossible size")
        content = _taken(stream, size)
        yield Member(name, _KINDS[kind], link, content)
        for _ in content:  # what the caller did not read
            pass
        stream.take(-size % BLOCK)
    stream.check_end()


def _taken(stream: _Stream, size: int) -> Iterator[bytes]:
    while size:
        content = stream.take(min(size, CHUNK))
        size -= len(content)
        yield content


def _long_name(kind: bytes, content: bytes) -> dict[str, str]:
    """The fields of the next member in a GNU or pax header: path, linkpath, size, sparse."""
    if kind in b"LK":
        return {"path" if kind == b"L" else "linkpath": _text(content)}
    records = {}
    while content:
        length = content.partition(b" ")[0]
        end = int(length)
        record = content[len(length) + 1 : end]
        key, equal, value = record.partition(b"=")
        if not len(length) + 1 < end <= len(content) or not equal or value[-1:] != b"\n":
            raise Damaged("a pax record is malformed")
        records[key.decode()] = value[:-1].decode("utf-8", "surrogateescape")
        content = content[end:]
    known = {key: records[key] for key in ("path", "linkpath", "size") if key in records}
    if kind == b"g" and known:
        raise Damaged("a global pax header renames members")
    return known | ({"sparse": ""} if any(key.startswith("GNU.sparse") for key in records) else {})


def _number(field: bytes) -> int:
    """An octal number, or a binary one if the first bit is set."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0") or b"0"
    if not digits.isdigit():
        raise Damaged("a header is malformed")
    return int(digits, 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _name(block: bytes) -> str:
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(block[:100])}" if prefix else _text(block[:100])
