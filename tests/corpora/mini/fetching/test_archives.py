"""Archives made here, whole, damaged and hostile: `archives.unpack` writes what is in them, or
raises ConfigError, and writes nothing outside its folder."""

import io
import random
import tarfile

import pytest
from debs import FILES, PACK, ar, deb, entry, tar, tree

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini.fetching import archives, tar_reader

FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
CONTENT = {name[2:]: content for name, content in FILES.items()}


def unpack(tmp_path, blob, only=None, name="a.deb"):
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / name).write_bytes(blob)
    return archives.unpack(tmp_path / "in" / name, tmp_path / "out", only)


def refused(tmp_path, blob, reason="", name="a.deb"):
    """The archive is an error that names it, and nothing is outside the folder."""
    with pytest.raises(ConfigError, match=f"{name} is damaged .*{reason}"):
        unpack(tmp_path, blob, name=name)
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "out"}
    return True


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_every_file_is_unpacked(tmp_path, kind, format):
    digests = unpack(tmp_path, deb(tar(format=format), kind))
    assert tree(tmp_path / "out") == CONTENT
    assert digests["usr/share/demo/dog.txt"] == (
        "1811bdd29f2cfe95e6e23402e2390fa1012708fc52ef8b8a29ee540b1c481534"
    )


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_are_read(tmp_path, format):
    names = ["x/" * 60 + "file", "é/ß" * 50, "日本", "a b'c\"", "y" * 101]
    content = {name: name.encode() for name in names}
    links = [(entry("l" * 150, LINK, "x/" * 60 + "file"), b"")]
    unpack(tmp_path, PACK[".gz"](tar(content, format)), name="a.tgz")
    assert tree(tmp_path / "out") == content
    (tmp_path / "out").rename(tmp_path / "first")
    digests = unpack(tmp_path, PACK[".gz"](tar(links, format)), name="b.tgz")
    assert digests == {"l" * 150: "-> " + "x/" * 60 + "file"}


def test_a_name_with_a_ustar_prefix_is_read(tmp_path):
    name = "p" * 90 + "/" + "n" * 90
    unpack(tmp_path, deb(tar({name: b"x"}, tarfile.USTAR_FORMAT)))
    assert tree(tmp_path / "out") == {name: b"x"}


def test_only_files_with_the_given_suffixes_are_unpacked(tmp_path):
    files = {"./a/x.ogg": b"sound", "./a/y.png": b"picture", "./deep/z.ogg": b"other"}
    members = [(entry(name, size=len(content)), content) for name, content in files.items()]
    members.append((entry("./a/fonts", LINK, "/usr/share/fonts"), b""))  # filtered out, not refused
    unpack(tmp_path, deb(tar(members)), (".ogg",))
    assert tree(tmp_path / "out") == {"a/x.ogg": b"sound", "deep/z.ogg": b"other"}


def test_files_are_read_only(tmp_path):
    unpack(tmp_path, deb())
    modes = {p.stat().st_mode & 0o777 for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert modes == {0o444}


def test_set_user_id_and_other_modes_are_not_taken_over(tmp_path):
    info = entry("program", size=1)
    info.mode = 0o6777
    unpack(tmp_path, deb(tar([(info, b"x")])))
    assert (tmp_path / "out/program").stat().st_mode & 0o7777 == 0o444


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path):
    payload = bytearray(tar({"a": b"1", "b": b"2"}))
    assert payload[1024:1025] == b"b"
    payload[1024 + 148] ^= 1  # the checksum of the second header
    refused(tmp_path, deb(bytes(payload), ""), "checksum")


WHOLE = deb()
DAMAGED = {
    "not ar": (b"PK" + WHOLE, "not a Debian package"),
    "empty": (b"", "not a Debian package"),
    "a page of a web server": (b"<html>404</html>" * 10, "not a Debian package"),
    "no data": (ar(("debian-binary", b"2.0\n")), "no data.tar"),
    "cut": (WHOLE[:-20], ""),
    "cut in a header": (WHOLE[:100], ""),
    "cut behind the magic": (WHOLE[:8], "no data.tar"),
    "zeros at the end": (WHOLE[:-60] + b"\0" * 60, ""),
    "xz": (WHOLE[:-60] + bytes(b ^ 255 for b in WHOLE[-60:-20]) + WHOLE[-20:], ""),
    "zst": (deb(kind=".zst")[:-40] + bytes(b ^ 255 for b in deb(kind=".zst")[-40:]), ""),
    "zst cut": (ar(("data.tar.zst", PACK[".zst"](tar())[:-30])), ""),
    "gz cut": (ar(("data.tar.gz", PACK[".gz"](tar())[:-9])), ""),
    "gz with another checksum": (ar(("data.tar.gz", PACK[".gz"](tar())[:-8] + b"\0" * 8)), ""),
    "no tar": (deb(b"nothing like a tar" * 100), ""),
    "tar cut in a file": (deb(tar()[:2000]), "truncated"),
    "tar without an end": (deb(tar({"a": b"x"})[:1024]), "truncated"),
    "data behind the end": (deb(tar() + b"more"), "follows its end"),
    "unknown compression": (ar(("data.tar.lz", b"x")), "unknown way"),
    "size that is negative": (WHOLE.replace(b"4         `", b"-4        `", 1), "header"),
    "size without digits": (WHOLE.replace(b"4         `", b"x         `", 1), "header"),
    "size with an underscore": (WHOLE.replace(b"4         `", b"1_0       `", 1), "header"),
    "size beyond the end": (WHOLE.replace(b"4         `", b"9999999999`", 1), ""),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_archive_is_an_error_that_names_it(tmp_path, case):
    refused(tmp_path, *DAMAGED[case])


def header(**fields):
    """A tar of one header whose bytes at `at` are replaced, with a right checksum."""
    block = bytearray(entry("file", size=3).tobuf(tarfile.GNU_FORMAT))
    for at, value in fields.values():
        block[at : at + len(value)] = value
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:512]) + 256)
    return bytes(block) + b"abc".ljust(512, b"\0") + b"\0" * 1024


HOSTILE_HEADERS = {
    "negative octal size": header(size=(124, b"-0000000003\0")),
    "negative binary size": header(size=(124, b"\xff" * 12)),
    "huge binary size": header(size=(124, b"\x80" + b"\xff" * 11)),
    "size of words": header(size=(124, b"three      \0")),
    "folder with content": header(kind=(156, b"5")),
    "link with content": header(kind=(156, b"2")),
    "long name of 8 GB": header(kind=(156, b"L"), size=(124, b"77777777777\0")),
    "pax records of 8 GB": header(kind=(156, b"x"), size=(124, b"77777777777\0")),
    "sparse file": header(kind=(156, b"S")),
    "contiguous file": header(kind=(156, b"7")),
    "character device": header(kind=(156, b"3"), size=(124, b"0" * 11)),
    "block device": header(kind=(156, b"4"), size=(124, b"0" * 11)),
    "fifo": header(kind=(156, b"6"), size=(124, b"0" * 11)),
    "multi-volume": header(kind=(156, b"M")),
    "unknown kind": header(kind=(156, b"Z")),
    "empty name": header(name=(0, b"\0" * 4)),
}


@pytest.mark.parametrize("case", HOSTILE_HEADERS)
def test_a_hostile_header_is_refused(tmp_path, case):
    refused(tmp_path, deb(HOSTILE_HEADERS[case]))


def pax(**records):
    info = entry("file", size=3)
    info.pax_headers = records
    return tar([(info, b"abc")], tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    "records",
    [
        {"path": "../outside"},
        {"path": "/etc/outside"},
        {"path": "a\0b"},
        {"size": "-3"},
        {"size": "99999999999999999999"},
        {"size": "three"},
        {"GNU.sparse.major": "1"},
        {"GNU.sparse.map": "0,1"},
    ],
    ids=str,
)
def test_hostile_pax_records_are_refused(tmp_path, records):
    refused(tmp_path, deb(pax(**records)))


@pytest.mark.parametrize(
    "body", [b"x", b"9 path", b"99 path=a\n", b"-5 path=a\n", b"9 path=ab", b"0 "]
)
def test_malformed_pax_records_are_refused(tmp_path, body):
    block = header(kind=(156, b"x"), size=(124, b"%011o\0" % len(body)))[:512]
    payload = block + body.ljust(512, b"\0") + header()
    refused(tmp_path, deb(payload))


LEAVING = {
    "file": [(entry("../outside", size=1), b"x")],
    "file in the middle": [(entry("a/../../outside", size=1), b"x")],
    "absolute file": [(entry("/tmp/outside", size=1), b"x")],
    "link": [(entry("in", LINK, "../outside"), b"")],
    "absolute link": [(entry("in", LINK, "/etc/passwd"), b"")],
    "link from a folder": [(entry("a/in", LINK, "../../outside"), b"")],
    "link over a detour": [(entry("in", LINK, "a/b/../../../outside"), b"")],
    "hard link": [(entry("in", HARD, "../outside"), b"")],
    "hard link to nothing": [(entry("in", HARD, "absent"), b"")],
    "hard link to a link": [(entry("a", LINK, "b"), b""), (entry("in", HARD, "a"), b"")],
    "device": [(entry("null", tarfile.CHRTYPE), b"")],
    "file through a link": [(entry("a", LINK, "."), b""), (entry("a/x", size=1), b"x")],
    "file before its link": [(entry("a/x", size=1), b"x"), (entry("a", LINK, "."), b"")],
    "link behind a link": [
        (entry("p/q/a", LINK, "../../x"), b""),
        (entry("p/q/a/b", LINK, "../../../z"), b""),
    ],
    "link through a link": [
        (entry("p/q/r/s", LINK, "../../.."), b""),
        (entry("t", LINK, "p/q/r/s/../outside"), b""),
    ],
    "link through a link of another case": [
        (entry("p/q/R", LINK, "../.."), b""),
        (entry("t", LINK, "p/q/r/../outside"), b""),
    ],
    "two files of one name": [(entry("a", size=1), b"1"), (entry("a", size=1), b"2")],
    "file over a link": [(entry("a", LINK, "b"), b""), (entry("./a", size=1), b"2")],
    "file in a file": [(entry("a", size=1), b"1"), (entry("a/b", size=1), b"2")],
    "file over a folder": [(entry("a/b", size=1), b"1"), (entry("a", size=1), b"2")],
}


@pytest.mark.parametrize("case", LEAVING)
def test_a_member_that_would_leave_the_folder_is_refused(tmp_path, case):
    assert refused(tmp_path, deb(tar(LEAVING[case])))


def test_cve_2025_4517_is_refused(tmp_path):
    """A path longer than the system resolves, so that os.path.realpath stops before its end."""
    part, members, path = "d" * 240, [], ""
    for letter in "abcdefghijklmnop":
        members.append((entry(f"{path}{part}", tarfile.DIRTYPE), b""))
        members.append((entry(f"{path}{letter}", LINK, part), b""))
        path += f"{part}/"
    chain = "/".join("abcdefghijklmnop")
    members.append((entry(f"{chain}/" + "l" * 254, LINK, "../" * 16), b""))
    members.append((entry("escape", LINK, f"{chain}/" + "l" * 254 + "/../../outside"), b""))
    members.append((entry("flag", HARD, "escape"), b""))
    members.append((entry("flag", size=1), b"x"))
    refused(tmp_path, deb(tar(members)))


def test_links_within_the_package_are_made(tmp_path):
    members = [
        (entry("usr/share/a", size=1), b"x"),
        (entry("usr/share/b", LINK, "a"), b""),
        (entry("usr/lib/c", LINK, "../share/a"), b""),
        (entry("usr/share/d", LINK, "not-unpacked/e"), b""),  # a part of another package
        (entry("usr/share/f", HARD, "usr/share/a"), b""),
        (entry("usr/share/g", LINK, "b"), b""),
    ]
    digests = unpack(tmp_path, deb(tar(members)))
    place = tmp_path / "out/usr"
    assert (place / "share/b").is_symlink() and (place / "share/b").read_bytes() == b"x"
    assert (place / "lib/c").read_bytes() == (place / "share/g").read_bytes() == b"x"
    assert not (place / "share/d").exists() and digests["usr/share/d"] == "-> not-unpacked/e"
    assert (place / "share/f").read_bytes() == b"x" and not (place / "share/f").is_symlink()


@pytest.mark.parametrize("kind", [".xz", ".gz", ".zst"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "SPARE", 100_000)
    blob = deb(tar({"zeros": b"\0" * 2_000_000}), kind)
    assert len(blob) * archives.RATIO < 1_000_000
    refused(tmp_path, blob, "far more than its size")
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) < 1_100_000


def test_a_bomb_of_hard_links_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SPARE", 100_000)
    members = [(entry("a", size=50_000), b"\0" * 50_000)]
    members += [(entry(f"link{n}", HARD, "a"), b"") for n in range(100)]
    refused(tmp_path, deb(tar(members)), "far more than its size")


def test_zeros_behind_the_end_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SPARE", 100_000)
    refused(tmp_path, deb(tar() + b"\0" * 2_000_000), "follows its end")


def test_a_full_disk_is_one_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(ConfigError, match="cannot write|cannot unpack .*No space left"):
        unpack(tmp_path, deb())


def test_random_damage_is_noticed_or_harmless(tmp_path):
    """60 archives with a few random bytes each: an error, or the very files of the archive."""
    rng, noticed = random.Random(0), 0
    bare = ar(("data.tar", tar()))
    for number in range(60):
        blob = bytearray(rng.choice([deb(kind=".xz"), deb(kind=".gz"), bare]))
        for _ in range(rng.choice([1, 1, 2, 8])):
            blob[rng.randrange(len(blob))] = rng.randrange(256)
        if rng.random() < 0.2:
            blob = blob[: rng.randrange(len(blob))]
        place = tmp_path / str(number)
        place.mkdir()
        try:
            unpack(place, bytes(blob))
        except ConfigError as error:
            assert "a.deb" in str(error)
            noticed += 1
        assert {path.name for path in place.iterdir()} <= {"in", "out"}
    assert noticed > 30


def test_one_file_is_read_from_the_control_archive(tmp_path):
    (tmp_path / "a.deb").write_bytes(deb(version="2:1.1-3"))
    assert b"Version: 2:1.1-3" in archives.read_file(tmp_path / "a.deb", "control")
    with pytest.raises(ConfigError, match="no file absent"):
        archives.read_file(tmp_path / "a.deb", "absent")


def test_a_file_system_that_ignores_case_keeps_the_first_of_two_names(tmp_path):
    """As on macOS, where the second name opens the first file."""
    place = tmp_path / "a"
    assert archives._write(place, [b"first"]) and archives._write(place, [b"second"]) == ""
    assert place.read_bytes() == b"first"


def test_content_that_nobody_reads_is_skipped():
    names = [m.name for m in tar_reader.members(io.BytesIO(tar()), 1 << 20)]
    assert names == list(FILES)
