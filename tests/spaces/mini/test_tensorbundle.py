"""The reader of TensorFlow checkpoints, on bundles that the tests write byte by byte."""

import struct

import numpy as np
import pytest

from exmcr.common.errors import ConfigError
from exmcr.spaces.mini.backbones.tensorbundle import MAGIC, read_bundle

NUMBERS = {np.float32: 1, np.float64: 2, np.int32: 3, np.int64: 9, np.bool_: 10}


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number: int, value) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(dtype: int, shape, offset: int, size: int) -> bytes:
    dims = b"".join(field(2, field(1, dim)) for dim in shape)
    checksum = varint(6 << 3 | 5) + b"\x01\x02\x03\x04"  # fixed32, not read
    return field(1, dtype) + field(2, dims) + field(4, offset) + field(5, size) + checksum


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Keys share prefixes with the key before; one restart; not compressed; a checksum of zeros."""
    body, last = b"", b""
    for key, value in entries:
        shared = next(
            (n for n, (a, b) in enumerate(zip(key, last)) if a != b), min(len(key), len(last))
        )
        body += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        last = key
    return body + struct.pack("<II", 0, 1)


def write(folder, tensors: dict, extra: list[tuple[bytes, bytes]] = [], per_block: int = 2):
    data, entries = b"", [(b"", field(1, 1))]  # the header has the empty key
    for name, array in sorted(tensors.items()):
        raw = array.tobytes()
        entries.append(
            (name.encode(), entry(NUMBERS[array.dtype.type], array.shape, len(data), len(raw)))
        )
        data += raw
    entries = sorted(entries + extra)
    table, handles = b"", []
    for start in range(0, len(entries), per_block):
        part = entries[start : start + per_block]
        content = block(part)
        handles.append((part[-1][0] + b"~", varint(len(table)) + varint(len(content))))
        table += content + b"\0" + bytes(4)
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(table)) + varint(len(index))
    table += index + b"\0" + bytes(4) + footer.ljust(40, b"\0") + MAGIC
    (folder / "v.index").write_bytes(table)
    (folder / "v.data").write_bytes(data)
    return folder / "v.index", folder / "v.data"


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    return {
        "layer-1/kernel": rng.normal(size=(3, 3, 1, 32)).astype(np.float32),
        "layer-1/bias": rng.normal(size=32).astype(np.float32),
        "layer-10/kernel": rng.normal(size=(2, 70)),
        "count": np.array(7, np.int64),
        "empty": np.zeros((0, 4), np.float32),
        "flags": np.array([True, False]),
        "steps": np.arange(300, dtype=np.int32),
    }


@pytest.mark.parametrize("per_block", [1, 2, 100])
def test_every_tensor_is_read_with_its_name_type_and_shape(tmp_path, tensors, per_block):
    got = read_bundle(*write(tmp_path, tensors, per_block=per_block))
    assert got.keys() == tensors.keys()
    for name, array in tensors.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape
        np.testing.assert_array_equal(got[name], array)


def test_tensors_of_strings_are_left_out(tmp_path, tensors):
    files = write(tmp_path, tensors, extra=[(b"graph", entry(7, (), 0, 5))])
    assert read_bundle(*files).keys() == tensors.keys()


def test_damaged_files_are_errors(tmp_path, tensors):
    index, data = write(tmp_path, tensors)
    table, content = index.read_bytes(), data.read_bytes()
    compressed = bytearray(table)
    compressed[table.index(struct.pack("<II", 0, 1)) + 8] = 1
    cases = [
        (b"", content, "no table footer"),
        (table[:-9], content, "no table footer"),
        (table[:-1] + b"\0", content, "no table footer"),
        (table[60:], content, ""),
        (bytes(compressed), content, "compressed"),
        (table, content[:-1], "does not fit"),
        (table, b"", "does not fit"),
    ]
    for broken, rest, message in cases:
        index.write_bytes(broken)
        data.write_bytes(rest)
        with pytest.raises(
            ConfigError, match=f"v.index is no readable TensorFlow checkpoint: .*{message}"
        ):
            read_bundle(index, data)


def test_any_changed_byte_of_the_index_is_read_or_refused(tmp_path, tensors):
    index, data = write(tmp_path, tensors)
    table, refused = index.read_bytes(), 0
    for place in range(len(table)):
        change = (0x01, 0x80, 0xFF)[place % 3]
        index.write_bytes(table[:place] + bytes([table[place] ^ change]) + table[place + 1 :])
        try:
            read_bundle(index, data)
        except ConfigError:
            refused += 1
    assert refused > len(table) / 3
