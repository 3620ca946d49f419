"""Weights in the binary format of CTranslate2 (`model.bin`), read without CTranslate2.

Little-endian throughout. A string is its length with the closing zero (uint16), then its bytes:

    version (uint32), name of the architecture (string), its revision (uint32)
    number of variables (uint32), then of each: name (string), rank (uint8), shape (uint32 each),
        type (uint8, a key of TYPES), size in bytes (uint32), values
    number of aliases (uint32), then of each: alias (string), variable (string)

Source: python/ctranslate2/specs/model_spec.py of https://github.com/OpenNMT/CTranslate2.
"""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exmcr.common.errors import ConfigError

VERSION = 6
TYPES: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.int8,
    2: np.int16,
    3: np.int32,
    4: np.float16,
}


def read(path: Path, keep: Callable[[str], bool] = lambda name: True) -> dict[str, np.ndarray]:
    """{name: array} of the variables whose name `keep` accepts, in their stored type.

    Aliases are left out. Raises ConfigError for a file that is missing, truncated, longer than it
    says, of another version, or with a variable of unknown type.
    """
    try:
        with memoryview(path.read_bytes()) as content:
            return _variables(_Cursor(content), keep)
    except (OSError, struct.error, ValueError) as error:
        raise ConfigError(f"{path} is not a readable CTranslate2 model: {error}") from error


class _Cursor:
    """A position in the bytes of a file."""

    def __init__(self, content: memoryview):
        self.content, self.at = content, 0

    def take(self, size: int) -> memoryview:
        """The next `size` bytes. Raises ValueError beyond the end."""
        part = self.content[self.at : self.at + size]
        if len(part) < size:
            raise ValueError("it is truncated")
        self.at += size
        return part

    def number(self, kind: str) -> int:
        """The next number; kind is a character of `struct`."""
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))[0]

    def string(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()


def _variables(cursor: _Cursor, keep: Callable[[str], bool]) -> dict[str, np.ndarray]:
    if (version := cursor.number("I")) != VERSION:
        raise ValueError(f"its format has version {version}, expected {VERSION}")
    cursor.string()
    cursor.number("I")
    variables = {}
    for _ in range(cursor.number("I")):
        name = cursor.string()
        shape = [cursor.number("I") for _ in range(cursor.number("B"))]
        kind, values = cursor.number("B"), cursor.take(cursor.number("I"))
        if keep(name):
            if kind not in TYPES:
                raise ValueError(f"variable {name} has unknown type {kind}")
            variables[name] = np.frombuffer(values, TYPES[kind]).reshape(shape).copy()
    for _ in range(2 * cursor.number("I")):
        cursor.string()
    if extra := len(cursor.content) - cursor.at:
        raise ValueError(f"{extra} bytes follow its end")
    return variables
