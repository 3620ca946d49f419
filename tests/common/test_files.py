"""A file that is written is complete or does not exist."""

import json
import os
import stat

import pytest

from exmcr.common.files import atomic_write, write_json, write_text


def test_a_file_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "new folder/a.txt"
    with atomic_write(path) as draft:
        draft.write_text("one")
        assert not path.exists() and draft.parent == path.parent
    assert path.read_text() == "one" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_earlier_file_stays_and_no_draft_remains(tmp_path, error):
    path = tmp_path / "a.txt"
    write_text(path, "earlier")
    with pytest.raises(error), atomic_write(path) as draft:
        draft.write_text("half")
        raise error
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "earlier")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert path.read_text() == "earlier"


def test_two_writers_of_one_file_do_not_share_a_draft(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as one, atomic_write(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one" and list(tmp_path.iterdir()) == [path]


def test_the_mode_is_that_of_a_new_file_under_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "text")
    finally:
        assert os.umask(before) == 0o027
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_text_is_utf_8_and_json_is_indented(tmp_path):
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"
    write_json(str(tmp_path / "a.json"), {"a": [1]})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"a": [1]} and text == '{\n "a": [\n  1\n ]\n}\n'
