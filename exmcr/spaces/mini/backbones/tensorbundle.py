"""Read a TensorFlow checkpoint (a "tensor bundle") without TensorFlow.

A bundle is two files: the tensors, one after the other, and an index that tells where each of them
lies. The index is a table of the LevelDB kind: blocks of sorted keys with shared prefixes, and a
footer that points to the block of blocks. Its values are protobuf messages.
Source of the formats: tensorflow/core/protobuf/tensor_bundle.proto, and doc/table_format.md of
LevelDB.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import ConfigError

FOOTER = 48  # bytes; the last eight are the magic number of a table
MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
# Numbers of tensorflow.DataType; entries of other types (strings) are left out.
TYPES = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64, 10: np.bool_}


def read_bundle(index: Path, data: Path) -> dict[str, np.ndarray]:
    """{name: array} of every numeric tensor of a bundle with one data file, not compressed.

    Raises ConfigError if a file is damaged, cut off or compressed.
    """
    try:
        table, tensors = index.read_bytes(), data.read_bytes()
        return dict(_tensors(table, tensors))
    except (IndexError, ValueError, TypeError, OverflowError, struct.error) as error:
        raise ConfigError(f"{index} is no readable TensorFlow checkpoint: {error}") from error


def _tensors(table: bytes, data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    if len(table) < FOOTER or table[-8:] != MAGIC:
        raise ValueError("the index has no table footer")
    # The footer has four varints: offset and size of the meta-index, then of the index.
    numbers, at = [], len(table) - FOOTER
    for _ in range(4):
        number, at = _varint(table, at)
        numbers.append(number)
    for _, handle in _block(table, *numbers[2:]):
        offset, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        for key, value in _block(table, offset, size):
            entry = _fields(value)
            if key and (dtype := TYPES.get(_one(entry, 1))):  # the empty key is the header
                yield key.decode(), _array(entry, dtype, data)


def _array(entry: dict[int, list[Any]], dtype: type, data: bytes) -> np.ndarray:
    """The tensor of one BundleEntryProto: fields dtype 1, shape 2, shard 3, offset 4, size 5."""
    dims = [_one(_fields(dim), 1) for dim in _fields(_one(entry, 2, b"")).get(2, [])]
    offset, size = _one(entry, 4), _one(entry, 5)
    expected = int(np.prod(dims, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size != expected or offset + size > len(data):
        raise ValueError(f"a tensor of shape {dims} does not fit its {size} bytes")
    return np.frombuffer(data, dtype, size // np.dtype(dtype).itemsize, offset).reshape(dims)


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of each entry of a block: length of the prefix shared with the key before,
    lengths of the rest of the key and of the value, then these two."""
    if offset + size >= len(table) - FOOTER:
        raise ValueError("a block lies beyond the end of the index")
    if table[offset + size] != 0:
        raise ValueError("the index is compressed")
    block = table[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    end, at, key = size - 4 - 4 * restarts, 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise ValueError("an entry of the index is cut off")
        key, value = key[:shared] + block[at : at + own], block[at + own : at + own + length]
        at += own + length
        yield key, value


def _fields(message: bytes) -> dict[int, list[Any]]:
    """{field number: values} of a protobuf message: integers, or bytes."""
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value: Any
            value, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if length is None:
                length, at = _varint(message, at) if kind == 2 else (len(message), at)
            if at + length > len(message):
                raise ValueError("an entry of the index is cut off")
            value, at = message[at : at + length], at + length
        fields.setdefault(number, []).append(value)
    return fields


def _one(fields: dict[int, list[Any]], number: int, default: Any = 0) -> Any:
    """The last value of a field, as protobuf has it."""
    return fields.get(number, [default])[-1]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the position after it."""
    number = shift = 0
    while True:
        byte = data[at]
        at, number, shift = at + 1, number | (byte & 127) << shift, shift + 7
        if byte < 128:
            return number, at
