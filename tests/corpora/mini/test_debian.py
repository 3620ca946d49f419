"""Debian packages made here, on systems with a made-up apt, archive, or neither."""

import hashlib
import os
import shutil
import signal
import time

import pytest
from debs import FILES, deb, tar, tree

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini import debian
from exmcr.corpora.mini.fetching import store, transfer

BLOB = deb()
CONTENT = {name[2:]: content for name, content in FILES.items()}
OTHER = deb(tar({"./other": b"x"}), version="1.1")


def put(raw, blob, name="demo_1.0_all.deb"):
    (raw / "debs").mkdir(parents=True, exist_ok=True)
    (raw / "debs" / name).write_bytes(blob)
    return raw / "debs" / name


@pytest.fixture
def raw(tmp_path, pin):
    """The folder of all packages, while the lock holds `demo` 1.0."""
    pin(BLOB)
    return tmp_path / "raw"


# a .deb that is there


def test_fetch_unpacks_a_package_that_the_user_supplied(raw, no_programs):
    put(raw, BLOB)
    folder = debian.fetch("demo", raw)
    assert folder == raw / "demo" and tree(folder) == CONTENT
    file = folder / "usr/share/demo/dog.txt"
    assert file.stat().st_mode & 0o777 == 0o444, "raw data is read-only"
    assert sorted(path.name for path in raw.iterdir()) == ["debs", "demo"]


def test_a_package_under_another_file_name_is_recognized_by_its_hash(raw, no_programs):
    put(raw, BLOB, "demo_1.0_all (1).deb")
    assert tree(debian.fetch("demo", raw)) == CONTENT
    assert [path.name for path in (raw / "debs").iterdir()] == ["demo_1.0_all.deb"]


def test_fetch_unpacks_once(raw, no_programs):
    path = put(raw, BLOB)
    debian.fetch("demo", raw)
    path.unlink()
    assert tree(debian.fetch("demo", raw)) == CONTENT


def test_packages_unpacked_together_equal_those_unpacked_one_by_one(raw, pin, no_programs):
    pin(OTHER, "other")
    put(raw, BLOB)
    put(raw, OTHER, "other_1.0_all.deb")
    debian.unpack_together({"demo": (".txt",), "other": None}, raw)
    together = [(raw / name / store.RECORD).read_text() for name in ("demo", "other")]
    for name in ("demo", "other"):
        shutil.rmtree(raw / name)
    debian.fetch("demo", raw, (".txt",))
    debian.fetch("other", raw)
    assert [(raw / name / store.RECORD).read_text() for name in ("demo", "other")] == together


def test_a_package_that_cannot_be_unpacked_leaves_the_others(raw, pin, no_programs):
    broken = BLOB[:-100]
    pin(broken, "other")
    put(raw, BLOB)
    put(raw, broken, "other_1.0_all.deb")
    with pytest.raises(ConfigError, match="other_1.0_all.deb is damaged"):
        debian.unpack_together({"demo": None, "other": None}, raw)
    assert tree(raw / "demo") == CONTENT and not (raw / "other").exists()
    assert not list(raw.glob(".*"))


def test_a_package_in_a_read_only_folder_is_used(raw, no_programs, monkeypatch):
    put(raw, BLOB)
    debian.fetch("demo", raw)
    monkeypatch.setattr(store, "locked", None)
    assert tree(debian.fetch("demo", raw)) == CONTENT


def test_a_half_unpacked_package_is_unpacked_again(raw, no_programs):
    put(raw, BLOB)
    (raw / ".demo.part").mkdir()
    (raw / ".demo.part/rest").write_text("of a killed run")
    assert tree(debian.fetch("demo", raw)) == CONTENT
    assert not (raw / ".demo.part").exists()


def test_another_filter_unpacks_the_package_again(raw, no_programs):
    put(raw, BLOB)
    assert list(tree(debian.fetch("demo", raw, (".txt",)))) == ["usr/share/demo/dog.txt"]
    assert tree(debian.fetch("demo", raw, (".txt", ".bin"))) == CONTENT
    assert list(tree(debian.fetch("demo", raw, (".bin",)))) == ["usr/share/demo/deep/odd.bin"]


def test_another_version_in_the_lock_unpacks_the_package_again(raw, no_programs, pin):
    put(raw, BLOB)
    debian.fetch("demo", raw)
    pin(OTHER, version="1.1")
    put(raw, OTHER, "demo_1.1_all.deb")
    assert tree(debian.fetch("demo", raw)) == {"other": b"x"}


def test_a_folder_of_a_release_without_records_is_unpacked_again(raw, no_programs):
    put(raw, BLOB)
    (raw / "demo").mkdir()
    (raw / "demo/.complete").touch()
    (raw / "demo/old").touch()
    assert tree(debian.fetch("demo", raw)) == CONTENT


def test_a_package_that_the_lock_lacks_is_an_error(raw, no_programs):
    with pytest.raises(ConfigError, match="'unknown' is not in .*exmcr data --accept unknown"):
        debian.fetch("unknown", raw)


# where a .deb comes from


def test_apt_is_used_first(raw, apt, archive):
    log = apt(BLOB) / "log"
    assert tree(debian.fetch("demo", raw)) == CONTENT
    assert "download demo=1.0" in log.read_text() and archive.requests == []
    assert [path.name for path in (raw / "debs").iterdir()] == ["demo_1.0_all.deb"]


def test_several_packages_need_one_call_of_apt(raw, apt, pin):
    blobs = {name: deb(tar({name: b"x"}), name=name) for name in ("a", "b", "c")}
    entries = [pin(blob, name) for name, blob in blobs.items()]
    for name, blob in blobs.items():
        log = apt(blob, name) / "log"
    arrived = []
    with store.locked(raw):
        assert debian.obtain(entries, raw, arrived.append) == {}
    downloads = [line for line in log.read_text().splitlines() if " download " in line]
    assert len(downloads) == 1 and sum(arrived) == sum(map(len, blobs.values()))


SYSTEMS = {
    "no apt": lambda apt, program: None,
    "empty lists": lambda apt, program: program("apt-cache", "exit 100"),
    "another version": lambda apt, program: apt(OTHER, version="1.1"),
    # Ubuntu builds the packages of Debian again, under the same version.
    "another build of the version": lambda apt, program: apt(deb(tar({"./x": b"1"}))),
    "a mirror with another content": lambda apt, program: apt(BLOB, content=BLOB[:-1] + b"x"),
    "a mirror that cuts files": lambda apt, program: apt(BLOB, content=BLOB[:-100]),
    "a mirror that fails": lambda apt, program: (
        apt(BLOB),
        program("apt-get", "echo E: no route to host >&2; exit 100"),
    ),
    "apt is killed": lambda apt, program: (
        apt(BLOB),
        program("apt-get", "printf half > demo_1.0_all.deb; kill -9 $$"),
    ),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_archive_is_used_where_apt_does_not_have_the_file(
    raw, request, program, archive, system, monkeypatch
):
    if system != "no apt":
        SYSTEMS[system](request.getfixturevalue("apt"), program)
    monkeypatch.setattr(debian, "ARCHIVE", archive.url)
    archive.blobs["/" + hashlib.sha1(BLOB).hexdigest()] = BLOB
    assert tree(debian.fetch("demo", raw)) == CONTENT
    assert len(archive.requests) == 1
    assert sorted(path.name for path in (raw / "debs").iterdir()) == ["demo_1.0_all.deb"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_without_a_source_the_error_says_what_to_put_where(raw, request, program, system):
    if system != "no apt":
        SYSTEMS[system](request.getfixturevalue("apt"), program)
    with pytest.raises(ConfigError) as failure:
        debian.fetch("demo", raw)
    text = str(failure.value)
    assert f"put demo_1.0_all.deb into {raw}/debs/" in text
    assert hashlib.sha256(BLOB).hexdigest() in text and debian.ARCHIVE in text
    if system == "another version":
        assert "demo 1.0: " in text and "use version 1.1" in text
        assert "`exmcr data --accept demo`" in text
    if system == "a mirror that fails":
        assert "no route to host" in text
    assert list((raw / "debs").iterdir()) == []


def test_root_updates_empty_lists_once(raw, apt, program, archive, monkeypatch):
    log = apt(deb(name="unrelated"), "unrelated") / "log"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ConfigError):
        debian.fetch("demo", raw)
    assert log.read_text().splitlines() == ["-q update"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigError):
        debian.fetch("demo", raw)
    assert log.read_text().splitlines() == ["-q update"]


# another file than that of the lock


def test_another_version_is_an_error_that_names_both_and_the_command(raw, no_programs):
    put(raw, OTHER, "demo_1%3a1.1_all.deb")
    with pytest.raises(
        ConfigError, match="demo 1.0: .*version 1:1.1, .*`exmcr data --accept demo`"
    ):
        debian.fetch("demo", raw)
    assert (raw / "debs/demo_1%3a1.1_all.deb").read_bytes() == OTHER


def test_versions_are_listed_in_the_order_of_debian(raw, no_programs):
    for version in ("10.0", "9.0", "9.0~rc1"):
        put(raw, OTHER, f"demo_{version}_all.deb")
    with pytest.raises(ConfigError, match="version 9.0~rc1 or 9.0 or 10.0, "):
        debian.fetch("demo", raw)


def test_a_package_with_another_hash_is_an_error(raw, no_programs):
    """The test that fails if the content of a data package differs from the lock."""
    put(raw, deb(tar({"./usr/share/demo/dog.txt": b"meow"})))
    with pytest.raises(ConfigError, match=hashlib.sha256(BLOB).hexdigest()):
        debian.fetch("demo", raw)
    assert not (raw / "demo").exists()


@pytest.mark.parametrize("present", [b"", BLOB[:100], BLOB[:-1], BLOB + b"x", BLOB[:-1] + b"x"])
def test_a_damaged_download_is_replaced(raw, archive, present):
    """As an interrupted `apt-get download` leaves it, under the final name."""
    put(raw, present)
    archive.blobs["/" + hashlib.sha1(BLOB).hexdigest()] = BLOB
    assert tree(debian.fetch("demo", raw)) == CONTENT
    assert (raw / "debs/demo_1.0_all.deb").read_bytes() == BLOB


def test_a_package_whose_name_starts_alike_is_not_used(raw, no_programs):
    put(raw, BLOB, "demo-extra_1.0_all.deb")
    with pytest.raises(ConfigError, match="put demo_1.0_all.deb"):
        debian.fetch("demo", raw)


# interruptions


def wait_until(condition):
    for _ in range(2000):
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_takes_apt_along_and_the_next_one_starts_again(
    raw, apt, program, archive, child, number
):
    repository = apt(BLOB)
    program(
        "apt-get",
        'printf half > demo_1.0_all.deb; echo $$ > "$APT/pid.part"\n'
        'mv "$APT/pid.part" "$APT/pid"; exec sleep 60',
    )
    run = child(f"debian.fetch('demo', Path({str(raw)!r}))")
    assert wait_until((repository / "pid").exists)
    pid = int((repository / "pid").read_text())
    os.kill(run.process.pid, number)
    assert run.status() == -number
    if number != signal.SIGKILL or shutil.which("setpriv"):
        assert wait_until(lambda: not is_running(pid))
    else:
        os.kill(pid, signal.SIGKILL)
    archive.blobs["/" + hashlib.sha1(BLOB).hexdigest()] = BLOB
    program("apt-get", "exit 100")
    assert tree(debian.fetch("demo", raw)) == CONTENT
    assert sorted(path.name for path in raw.iterdir()) == ["debs", "demo"]
    assert [path.name for path in (raw / "debs").iterdir()] == ["demo_1.0_all.deb"]


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_apt_completed_in_a_killed_run_is_kept(raw, no_programs):
    draft = raw / "debs/.apt.0123abcd-1-1-0123abcd.part"
    draft.mkdir(parents=True)
    (draft / "demo_1.0_all.deb").write_bytes(BLOB)
    (draft / "other_1.0_all.deb").write_bytes(BLOB[:50])
    assert tree(debian.fetch("demo", raw)) == CONTENT
    assert [path.name for path in (raw / "debs").iterdir()] == ["demo_1.0_all.deb"]


def test_an_interrupted_download_from_the_archive_is_continued(raw, archive):
    archive.blobs["/" + hashlib.sha1(BLOB).hexdigest()] = BLOB
    path = put(raw, b"")
    path.unlink()
    transfer.draft_of(path).write_bytes(BLOB[:200])
    assert tree(debian.fetch("demo", raw)) == CONTENT
    assert archive.requests[0][1] == "bytes=200-"


def test_two_processes_at_once_unpack_once(raw, no_programs, child, tmp_path):
    put(raw, BLOB)
    code = f"""
unpack = archives.unpack
def slow(*arguments):
    with open({str(tmp_path / "log")!r}, "a") as file:
        file.write("x")
    time.sleep(0.2)
    return unpack(*arguments)
archives.unpack = slow
debian.fetch("demo", Path({str(raw)!r}))
"""
    children = [child(code) for _ in range(3)]
    assert [each.status() for each in children] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "x" and tree(raw / "demo") == CONTENT
    assert sorted(path.name for path in raw.iterdir()) == ["debs", "demo"]
