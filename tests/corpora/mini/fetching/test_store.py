"""Unpacked folders: when one counts as intact, and what a killed or second process leaves."""

import hashlib
import json
import signal

import pytest
from debs import FILES, deb, entry, tar, tarfile, tree

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini.fetching import store

BLOB = deb()
DIGEST = hashlib.sha256(BLOB).hexdigest()
CONTENT = {name[2:]: content for name, content in FILES.items()}


@pytest.fixture
def folder(tmp_path):
    """The folder of a package that was unpacked."""
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs/demo_1.0_all.deb").write_bytes(BLOB)
    unpack(tmp_path)
    return tmp_path / "demo"


def unpack(raw, only=None, digest=DIGEST):
    with store.locked(raw):
        store.unpack(raw / "debs/demo_1.0_all.deb", raw / "demo", digest, only)


def make_writable(path):
    path.chmod(0o644)
    return path


def longer(folder):
    make_writable(folder / "usr/share/demo/dog.txt").write_bytes(b"woof!")


DAMAGE = {
    "file is longer": longer,
    "file is cut": lambda folder: make_writable(folder / "usr/share/demo/dog.txt").write_bytes(b""),
    "file is missing": lambda folder: (folder / "usr/share/demo/dog.txt").unlink(),
    "file is new": lambda folder: (folder / "usr/new").write_text("x"),
    "record is missing": lambda folder: (folder / store.RECORD).unlink(),
    "record is empty": lambda folder: (folder / store.RECORD).write_text(""),
    "record is of an older version": lambda folder: (folder / store.RECORD).write_bytes(b""),
    "record is cut": lambda folder: (folder / store.RECORD).write_text('{"sha256": "'),
    "record is a list": lambda folder: (folder / store.RECORD).write_text("[]"),
    "record is not UTF-8": lambda folder: (folder / store.RECORD).write_bytes(b"\xff"),
}


def test_an_unpacked_folder_is_intact(folder):
    assert tree(folder) == CONTENT
    assert store.intact(folder, DIGEST, None) and store.damaged_files(folder) == []


@pytest.mark.parametrize("case", DAMAGE)
def test_a_changed_folder_is_not_intact(folder, case):
    DAMAGE[case](folder)
    assert not store.intact(folder, DIGEST, None)
    unpack(folder.parent)
    assert tree(folder) == CONTENT and store.intact(folder, DIGEST, None)


@pytest.mark.parametrize(
    "digest, only", [("0" * 64, None), (DIGEST, (".txt",)), (DIGEST, (".txt", ".bin"))]
)
def test_a_folder_of_another_archive_or_filter_is_not_intact(folder, digest, only):
    assert not store.intact(folder, digest, only)


def test_the_order_of_a_filter_does_not_matter(folder):
    unpack(folder.parent, (".txt", ".bin"))
    assert store.intact(folder, DIGEST, (".bin", ".txt")) and tree(folder) == CONTENT
    assert not store.intact(folder, DIGEST, None)


def test_full_comparison_finds_a_single_flipped_bit(folder):
    file = make_writable(folder / "usr/share/demo/dog.txt")
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + b"oof")
    assert store.intact(folder, DIGEST, None), "the cheap check compares sizes only"
    assert store.damaged_files(folder) == ["usr/share/demo/dog.txt"]


def test_full_comparison_names_missing_and_new_files_and_changed_links(tmp_path):
    members = [(entry("a", size=1), b"x"), (entry("l", tarfile.SYMTYPE, "a"), b"")]
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs/demo_1.0_all.deb").write_bytes(deb(tar(members)))
    unpack(tmp_path)
    assert store.damaged_files(tmp_path / "demo") == []
    (tmp_path / "demo/l").unlink()
    (tmp_path / "demo/l").symlink_to("elsewhere")
    (tmp_path / "demo/new").touch()
    (tmp_path / "demo/a").unlink()
    assert store.damaged_files(tmp_path / "demo") == ["a", "l", "new"]


KILL_AT_WRITE = """
write, count = archives._write, []
def killing(place, content):
    count.append(place)
    if len(count) == {nth}:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"half")
        kill()
    return write(place, content)
archives._write = killing
"""
KILLS = {
    "before the first file": KILL_AT_WRITE.format(nth=1),
    "in the second file": KILL_AT_WRITE.format(nth=2),
    "before the record": "store.write_text = kill",
    "before the folder is replaced": "Path.rename = kill",
    "while the folder is replaced": (
        "Path.rename = lambda path, to: os.rename(path, to) if 'old' in to.name else kill()"
    ),
    "before the old folder is deleted": "store.shutil.rmtree = kill",
}


@pytest.mark.parametrize("case", KILLS)
def test_a_kill_leaves_nothing_that_the_next_run_stumbles_over(folder, child, case):
    raw, only = folder.parent, (".txt", ".bin")
    code = f"""
raw = Path({str(raw)!r})
with store.locked(raw):
    store.unpack(raw / "debs/demo_1.0_all.deb", raw / "demo", {DIGEST!r}, {only!r})
"""
    assert child(KILLS[case] + code).status() == -signal.SIGKILL
    unpack(raw, only)
    assert tree(folder) == CONTENT and store.intact(folder, DIGEST, only)
    assert sorted(path.name for path in raw.iterdir()) == ["debs", "demo"]


def test_a_damaged_archive_leaves_the_folder_as_it_was(folder):
    (folder.parent / "debs/demo_1.0_all.deb").write_bytes(BLOB[:-30])
    with pytest.raises(ConfigError, match="demo_1.0_all.deb is damaged"):
        unpack(folder.parent, (".txt",))
    assert store.intact(folder, DIGEST, None)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["debs", "demo"]


def test_a_full_disk_is_one_error_and_leaves_no_draft(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_text", full)
    with pytest.raises(ConfigError, match="no space left"):
        unpack(folder.parent, (".txt",))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["debs", "demo"]


def test_the_record_is_written_with_archive_and_filter(folder):
    record = json.loads((folder / store.RECORD).read_text())
    assert record["archive"] == "demo_1.0_all.deb" and record["sha256"] == DIGEST
    assert record["files"] == 2 and record["bytes"] == 10_005 and record["only"] is None
