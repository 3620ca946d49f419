"""Members of tars: read in place by several threads, or through a temporary copy."""

from concurrent.futures import ThreadPoolExecutor

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
    assert str(error.value) == f"cannot use {tar}::7.bin, alias 7.bin"


def test_missing_members_and_files_that_are_no_tars_are_errors(tar, tmp_path):
    with pytest.raises(BadItem, match="cannot read .*a.tar::8"), tars.local_file(f"{tar}::8"):
        pass
    (tmp_path / "b.tar").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="b.tar is not a readable tar"):
        tars.open_tar(str(tmp_path / "b.tar"))
    with pytest.raises(ConfigError, match="c.tar is not a readable tar"):
        tars.open_tar(str(tmp_path / "c.tar"))
