"""Members of tars: read in place by several threads, or through a temporary copy."""

import errno
import io
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from paper_trees import shard

from exmcr.common.errors import BadItem, ConfigError
from exmcr.media import tars

CONTENT = {f"{k}.bin": bytes([k]) * (k + 1) for k in range(20)}


@pytest.fixture
def tar(tmp_path):
    shard(tmp_path / "a.tar", **CONTENT)
    tars._cached_tar.cache_clear()
    return tmp_path / "a.tar"


def test_threads_read_the_members_of_one_tar(tar):
    opened = tars.open_tar(str(tar))
    assert list(opened.members) == list(CONTENT)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            assert list(threads.map(opened.read, CONTENT)) == list(CONTENT.values())


def test_a_tar_is_kept_open(tar):
    assert tars.open_tar(str(tar)) is tars.open_tar(str(tar))


def test_a_member_becomes_a_temporary_file_with_its_suffix(tar):
    with tars.local_file(f"{tar}::7.bin") as path:
        assert path.suffix == ".bin" and path.read_bytes() == CONTENT["7.bin"]
    assert not path.exists()


def test_a_plain_path_stays_as_it_is(tmp_path):
    with tars.local_file(str(tmp_path / "a.wav")) as path:
        assert path == tmp_path / "a.wav"


def test_a_reason_names_the_member_and_not_its_temporary_copy(tar):
    with pytest.raises(BadItem) as error, tars.local_file(f"{tar}::7.bin") as path:
        raise BadItem(f"cannot use {path}, alias {path.name}")
    assert str(error.value) == f"cannot use {tar}::7.bin, alias a.tar::7.bin"


def test_missing_members_and_files_that_are_no_tars_are_errors(tar, tmp_path):
    with pytest.raises(BadItem, match="cannot read .*a.tar::8"), tars.local_file(f"{tar}::8"):
        pass
    (tmp_path / "b.tar").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="b.tar is not a readable tar"):
        tars.open_tar(str(tmp_path / "b.tar"))
    with pytest.raises(ConfigError, match="c.tar is not a readable tar"):
        tars.open_tar(str(tmp_path / "c.tar"))


def add(tar, name, content, **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def sparse(path, blocks, stored, size, version="1.0"):
    """A tar with one sparse file: a map of (offset, length), and the bytes of these parts."""
    numbers = [len(blocks), *(n for block in blocks for n in block)]
    header = "".join(f"{n}\n" for n in numbers).encode()
    padded = header.ljust(-(-len(header) // 512) * 512, b"\0")
    major, _, minor = version.partition(".")
    names = {"major": major, "minor": minor, "name": "hole", "realsize": str(size)}
    with tarfile.open(path, "w") as tar:
        headers = {f"GNU.sparse.{key}": value for key, value in names.items()}
        add(tar, "sparse/hole", padded + stored, pax_headers=headers)
    return tars.Tar(str(path))


@pytest.mark.parametrize("format", ["gnu", "oldgnu", "pax"])
def test_a_sparse_file_has_zeros_in_its_holes(tmp_path, format):
    content = bytearray(300_000)
    content[:10], content[200_000:200_010] = b"abcdefghij", b"klmnopqrst"
    with (tmp_path / "hole").open("wb") as file:
        for place in (0, 200_000):
            file.seek(place)
            file.write(content[place : place + 10])
        file.truncate(len(content))
    command = ["tar", "--sparse", f"--format={format}", "-cf", "a.tar", "hole"]
    subprocess.run(command, cwd=tmp_path, check=True)
    opened = tars.Tar(str(tmp_path / "a.tar"))
    assert opened.read("hole") == bytes(content)
    assert opened.members["hole"].size == len(content)


@pytest.mark.parametrize(
    ("blocks", "size"),
    [([(0, 10)], 5), ([(5, 5), (0, 5)], 20), ([(0, -5)], 10), ([(-5, 5)], 10), ([(0, 9999)], 9999)],
    ids=str,
)
def test_a_damaged_map_of_a_sparse_file_is_an_error(tmp_path, blocks, size):
    try:
        opened = sparse(tmp_path / "a.tar", blocks, b"x" * 10, size)
    except ConfigError:
        return
    with pytest.raises(OSError, match="map of a sparse file is damaged|only .* bytes"):
        opened.read("hole")


def test_a_sparse_file_of_a_terabyte_is_refused_before_it_is_read(tmp_path):
    sparse(tmp_path / "a.tar", [(0, 10)], b"x" * 10, 10**12)
    with pytest.raises(BadItem, match="hole: it has 1000000000000 bytes, more than 1073741824"):
        with tars.local_file(f"{tmp_path}/a.tar::hole"):
            pass


def test_what_exists_decides_which_part_of_a_path_is_the_tar(tmp_path):
    plain = tmp_path / "a::b.png"
    plain.write_bytes(b"plain")
    folder = tmp_path / "x::y"
    shard(folder / "a.tar", **{"b::c": b"inside", "d": b"d"})
    beside = folder / "a.tar::d"  # a file that is called as the member is
    for path, expected in (
        (plain, b"plain"),
        (f"{folder}/a.tar::b::c", b"inside"),
        (f"{folder}/a.tar::d", b"d"),
    ):
        with tars.local_file(str(path)) as found:
            assert found.read_bytes() == expected
    beside.write_bytes(b"beside")
    with tars.local_file(str(beside)) as found:
        assert found.read_bytes() == b"beside"
    with pytest.raises(BadItem, match="cannot read .*none.tar::a: .*none.tar is not a readable"):
        with tars.local_file(f"{tmp_path}/none.tar::a"):
            pass


@pytest.mark.parametrize(
    "name", [os.fsdecode(b"caf\xe9.png"), "a" * 90 + "/" + "b" * 90 + ".png", "\u00e4 b.png", ".png",
             "a.p/ng", "a." + "x" * 300]
)  # fmt: skip
def test_members_of_any_name_are_read(tmp_path, name):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, name, b"content")
    (member,) = tars.Tar(str(tmp_path / "a.tar")).members
    with tars.local_file(f"{tmp_path}/a.tar::{member}") as found:
        assert found.read_bytes() == b"content"


def test_a_full_disk_for_temporary_files_is_no_fault_of_the_item(tar, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    real = tars.tempfile.NamedTemporaryFile

    def made(**options):
        file = real(**options)
        file.write = full
        return file

    monkeypatch.setattr(tars.tempfile, "NamedTemporaryFile", made)
    with pytest.raises(ConfigError, match="no space left on its disk"):
        with tars.local_file(f"{tar}::7.bin"):
            pass


def test_damaged_tars_are_refused_or_read_and_nothing_else(tar, tmp_path):
    whole, rng = tar.read_bytes(), np.random.default_rng(0)
    counts = {"read": 0, "bad": 0, "refused": 0}
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=3):
            content[place] = rng.integers(256)
        path = tmp_path / "damaged.tar"
        path.write_bytes(content[: rng.integers(len(content))] if rng.random() < 0.3 else content)
        try:
            opened = tars.Tar(str(path))
        except ConfigError:
            counts["refused"] += 1
            continue
        for name in opened.members:
            try:
                opened.read(name)
                counts["read"] += 1
            except OSError:
                counts["bad"] += 1
    assert counts["refused"] > 10 and counts["read"] > 10


def test_a_shard_with_a_damaged_header_in_its_middle_is_refused(tar):
    """tarfile alone would take it for the end and lose the members behind it."""
    content = bytearray(tar.read_bytes())
    content[5 * 1024 + 150] ^= 1  # in the checksum of the sixth member
    tar.write_bytes(content)
    with pytest.raises(ConfigError, match="not a readable tar: the header at byte 5120 is damaged"):
        tars.Tar(str(tar))
    tar.write_bytes(content[: 5 * 1024])  # without the end mark, as some programs leave it
    assert len(tars.Tar(str(tar)).members) == 5
