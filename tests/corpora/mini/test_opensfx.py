"""Sound collections in the .cat format."""

import struct

import pytest

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini import contents, opensfx

ENTRIES = [
    (b'"Sheep". Original "field.wav" by "A B".\0', b"RIFF....WAVE1"),
    (b"Beep\0", b"RIFF....WAVE22"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    position, index, body = 8 * len(ENTRIES), b"", b""
    for name, content in ENTRIES:
        index += struct.pack("<2I", position + len(body) | 1 << 31, len(content))
        body += bytes([len(name)]) + name + content
    (tmp_path / "opensfx.cat").write_bytes(index + body)
    monkeypatch.setattr(contents, "fetch", lambda package, raw: raw)
    return tmp_path


def test_named_entries_are_items_and_credits_are_no_part_of_a_name(folder):
    assert list(opensfx.read(folder / "opensfx.cat")) == [
        ("Sheep", b"RIFF....WAVE1"),
        ("Beep", b"RIFF....WAVE22"),
    ]
    items = [(item["concept"], item["caption"], sound) for item, sound in opensfx.items(folder)]
    assert items == [("sheep", "a sheep", b"RIFF....WAVE1")]


@pytest.mark.parametrize("content", [b"", b"abc", struct.pack("<3I", 8, 1 << 30, 9)])
def test_another_file_is_an_error(tmp_path, content):
    (tmp_path / "a.cat").write_bytes(content)
    with pytest.raises(ConfigError, match="not a sound collection"):
        list(opensfx.read(tmp_path / "a.cat"))
