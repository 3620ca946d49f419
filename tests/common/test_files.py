"""A file that is written is complete or does not exist."""

import json
import os
import resource
import signal
import stat
import time

import forked
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from exmcr.common.errors import ConfigError
from exmcr.common.files import (
    atomic_write,
    read_note,
    remove_abandoned,
    write_json,
    write_note,
    write_text,
)
from exmcr.common.processes import signature


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


def draft_of(path, signature):
    return path.with_name(f".{path.name}.{signature}-0123abcd.part")


def gone():
    """The signature of a process of this machine that has ended."""
    host, _, start = signature().rsplit("-", 2)
    return f"{host}-{2**22 + 1}-{start}"  # above the largest process number of Linux


def test_drafts_of_processes_that_were_killed_are_deleted_and_others_stay(tmp_path):
    path, hour = tmp_path / "a.txt", time.time() - 3600
    host, pid, start = signature().rsplit("-", 2)
    kept = {
        "ours": draft_of(path, signature()),
        "another host's": draft_of(path, "ffffffff-1-1"),
        "another file's": draft_of(tmp_path / "b.txt", gone()),
        "no draft": tmp_path / ".a.txt.part",
        "no draft either": tmp_path / f".a.txt.{gone()}.part",
    }
    stale = [
        draft_of(path, gone()),
        draft_of(path, f"{host}-{pid}-{int(start) - 1}"),  # an earlier process of the same number
        draft_of(path, "ffffffff-1-2"),
    ]
    for draft in [*kept.values(), *stale]:
        draft.write_text("half")
    os.utime(stale[2], (hour - 86_400,) * 2)
    os.utime(kept["another host's"], (hour,) * 2)
    write_text(path, "whole")
    assert set(tmp_path.iterdir()) == {path, *kept.values()}
    folder = draft_of(tmp_path / "deep/bank", gone())
    (folder / "new").mkdir(parents=True)
    remove_abandoned(tmp_path)
    assert not folder.exists() and not kept["another file's"].exists()
    assert kept["ours"].exists() and kept["no draft"].exists()


@pytest.mark.parametrize("by", forked.SIGNALS)
def test_a_signal_leaves_no_draft_or_one_that_the_next_writer_deletes(tmp_path, by):
    path = tmp_path / "a.txt"
    write_text(path, "earlier")

    def work():
        with atomic_write(path) as draft:
            draft.write_text("half")
            (tmp_path / "ready").touch()
            time.sleep(60)

    pid = forked.start(work)
    while not (tmp_path / "ready").exists():
        time.sleep(0.005)
    os.kill(pid, by)
    assert forked.result(pid) == (130 if by == signal.SIGINT else -by)
    drafts = list(tmp_path.glob(".*.part"))
    assert len(drafts) == (by == signal.SIGKILL)
    assert path.read_text() == "earlier"
    write_text(path, "later")
    assert {p.name for p in tmp_path.iterdir()} == {"a.txt", "ready"}


WRITERS = {
    "text": lambda draft: draft.write_text("x" * 300_000),
    "csv": lambda draft: pd.DataFrame({"a": range(100_000)}).to_csv(draft),
    "parquet": lambda draft: pd.DataFrame({"a": np.random.rand(100_000)}).to_parquet(draft),
    "npy": lambda draft: np.lib.format.write_array(draft.open("wb"), np.ones(100_000)),
    "npz": lambda draft: np.savez(draft.open("wb"), a=np.ones(100_000)),
    "torch": lambda draft: torch.save({"a": torch.ones(100_000)}, draft),
    "safetensors": lambda draft: save_file({"a": torch.ones(100_000)}, draft),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_no_draft(tmp_path, name):
    """A limit on the size of files ends a write as a full disk does."""
    path = tmp_path / "a.bin"

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(ConfigError, match="cannot write .*a.bin: no space left") as error:
            with atomic_write(path) as draft:
                WRITERS[name](draft)
        assert "\n" not in str(error.value)

    assert forked.result(forked.start(work)) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_forbidden_place_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write .*file/a.txt: File exists"):
        write_text(tmp_path / "file/a.txt", "x")
    with pytest.raises(ConfigError, match=r"cannot write .*: File name too long"):
        write_text(tmp_path / ("x" * 250), "x")


def test_every_writer_leaves_files_of_the_mode_of_the_umask(tmp_path):
    for name, write in WRITERS.items():
        with atomic_write(tmp_path / name) as draft:
            write(draft)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~current_umask()}


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


NOTE = {"name": "\u00e9 a", "list": [1, 2.5, 1e-07, None, True], "deep": {"x": "", "y": "\n"}}


def test_a_note_is_read_as_it_was_written(tmp_path):
    write_note(tmp_path / "a.json", NOTE)
    assert read_note(tmp_path / "a.json") == NOTE
    assert list(json.loads((tmp_path / "a.json").read_text())) == [*NOTE, "digest"]
    write_json(tmp_path / "old.json", NOTE)
    assert read_note(tmp_path / "old.json", since="ids_sha256") == NOTE
    for since in (None, "name"):
        with pytest.raises(ValueError, match="does not match its digest"):
            read_note(tmp_path / "old.json", since=since)
    write_text(tmp_path / "list.json", "[1]")
    with pytest.raises(ValueError, match="not a mapping"):
        read_note(tmp_path / "list.json")
    with pytest.raises(FileNotFoundError):
        read_note(tmp_path / "none.json")


def test_any_flipped_bit_of_a_note_is_found(tmp_path):
    path = tmp_path / "a.json"
    write_note(path, NOTE)
    for bit in range(0, 8 * path.stat().st_size, 7):  # each of the eight in turn
        forked.flip(path, bit)
        with pytest.raises(ValueError):
            read_note(path, since="list")
        forked.flip(path, bit)
    assert read_note(path) == NOTE
