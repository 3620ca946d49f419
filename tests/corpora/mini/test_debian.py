"""Debian packages made here: an ar archive around a tar, as dpkg writes it."""

import io
import lzma
import os
import tarfile

import pytest
import zstandard

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini import debian

FILES = {"./usr/share/demo/dog.txt": b"woof", "./usr/share/demo/deep/odd.bin": b"\x00" * 10_001}


def tar(files=FILES):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def member(name, content):
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    assert len(head) == 60
    return head + content + b"\n" * (len(content) % 2)


def deb(kind="xz", payload=None):
    pack = {"xz": lzma.compress, "zst": lambda b: zstandard.ZstdCompressor().compress(b)}[kind]
    body = pack(tar() if payload is None else payload)
    control = member("control.tar.xz", lzma.compress(b"x" * 3))
    return (
        b"!<arch>\n"
        + member("debian-binary", b"2.0\n")
        + control
        + member("odd", b"123")
        + member(f"data.tar.{kind}", body)
    )


def put(raw, blob, name="demo_1.0_all.deb"):
    (raw / "debs").mkdir(parents=True, exist_ok=True)
    (raw / "debs" / name).write_bytes(blob)
    return raw / "debs" / name


@pytest.fixture
def no_apt(monkeypatch, tmp_path):
    """A system without apt, and so without a network."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.mark.parametrize("kind", ["xz", "zst"])
def test_every_file_is_unpacked(tmp_path, kind):
    (tmp_path / "a.deb").write_bytes(deb(kind))
    debian.unpack(tmp_path / "a.deb", tmp_path / "out")
    for name, content in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == content


def test_only_files_with_the_given_suffixes_are_unpacked(tmp_path):
    payload = tar(
        {
            "./usr/share/a.ogg": b"sound",
            "./usr/share/b.png": b"picture",
            "./usr/deep/c.ogg": b"other",
        }
    )
    (tmp_path / "a.deb").write_bytes(deb(payload=payload))
    debian.unpack(tmp_path / "a.deb", tmp_path / "out", (".ogg",))
    assert sorted(f.name for f in (tmp_path / "out").rglob("*") if f.is_file()) == [
        "a.ogg",
        "c.ogg",
    ]


def test_fetch_unpacks_a_package_that_the_user_supplied(tmp_path, no_apt):
    put(tmp_path, deb())
    folder = debian.fetch("demo", tmp_path)
    file = folder / "usr/share/demo/dog.txt"
    assert file.read_bytes() == b"woof"
    assert file.stat().st_mode & 0o777 == 0o444, "raw data is read-only"
    assert (tmp_path / "SHA256SUMS").read_text().endswith("  demo_1.0_all.deb\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "debs", "demo"]


def test_fetch_unpacks_once(tmp_path, no_apt):
    path = put(tmp_path, deb())
    debian.fetch("demo", tmp_path)
    path.unlink()
    assert (debian.fetch("demo", tmp_path) / "usr/share/demo/dog.txt").is_file()


def test_a_half_unpacked_package_is_unpacked_again(tmp_path, no_apt):
    put(tmp_path, deb())
    (tmp_path / ".demo.part").mkdir()
    (tmp_path / ".demo.part/rest").write_text("of a killed run")
    assert not (debian.fetch("demo", tmp_path) / "rest").exists()


def test_without_apt_the_error_says_where_to_put_the_package(tmp_path, no_apt):
    with pytest.raises(ConfigError, match="download the .deb of 'demo' from .* into .*debs"):
        debian.fetch("demo", tmp_path)


def test_a_package_whose_name_starts_alike_is_not_used(tmp_path, no_apt):
    put(tmp_path, deb(), "demo-extra_1.0_all.deb")
    with pytest.raises(ConfigError, match="'demo'"):
        debian.fetch("demo", tmp_path)


def test_a_package_that_changed_after_its_first_use_is_refused(tmp_path, no_apt):
    put(tmp_path, deb())
    folder = debian.fetch("demo", tmp_path)
    os.rename(folder, tmp_path / "elsewhere")
    put(tmp_path, deb("xz", tar({"./other": b"x"})))
    with pytest.raises(ConfigError, match="has changed"):
        debian.fetch("demo", tmp_path)


@pytest.mark.parametrize(
    "damage", ["not ar", "empty", "no data", "cut", "cut in a header", "xz", "zst", "tar"]
)
def test_a_damaged_package_is_an_error_that_names_it(tmp_path, damage):
    whole = deb()
    blob = {
        "not ar": b"PK" + whole,
        "empty": b"",
        "no data": b"!<arch>\n" + member("debian-binary", b"2.0\n"),
        "cut": whole[:-20],
        "cut in a header": whole[:100],
        "xz": whole[:-60] + bytes(b ^ 255 for b in whole[-60:-20]) + whole[-20:],
        "zst": deb("zst")[:-40] + bytes(b ^ 255 for b in deb("zst")[-40:]),
        "tar": deb("xz", b"nothing like a tar" * 100),
    }[damage]
    (tmp_path / "a.deb").write_bytes(blob)
    with pytest.raises(ConfigError, match="a.deb"):
        debian.unpack(tmp_path / "a.deb", tmp_path / "out")


def link(name, target, kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    return out.getvalue()


LEAVING = [
    tar({"../outside": b"x"}),
    link("in", "../outside", tarfile.SYMTYPE),
    link("in", "/etc/passwd", tarfile.SYMTYPE),
    link("in", "../outside", tarfile.LNKTYPE),
    link("null", "", tarfile.CHRTYPE),
]


@pytest.mark.parametrize(
    "payload", LEAVING, ids=["file", "link", "absolute link", "hard link", "device"]
)
@pytest.mark.parametrize("python", ["3.11.2", "later"])
def test_a_file_that_would_leave_the_folder_is_not_written(tmp_path, monkeypatch, payload, python):
    """Debian 12 has Python 3.11.2, whose tarfile has no filter."""
    if python == "3.11.2":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    (tmp_path / "a.deb").write_bytes(deb("xz", payload))
    with pytest.raises(ConfigError, match="damaged"):
        debian.unpack(tmp_path / "a.deb", tmp_path / "out")
    assert not (tmp_path / "outside").exists() and not list((tmp_path / "out").glob("*"))


def test_a_link_within_the_package_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    (tmp_path / "a.deb").write_bytes(deb("xz", link("usr/share/b", "a", tarfile.SYMTYPE)))
    debian.unpack(tmp_path / "a.deb", tmp_path / "out")
    assert (tmp_path / "out/usr/share/b").is_symlink()
