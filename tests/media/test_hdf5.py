"""Rows of HDF5 files, the only layout in which ScanObjectNN is published."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from paper_trees import hdf5

from exmcr.common.errors import BadItem, ConfigError
from exmcr.corpora import items
from exmcr.media.hdf5 import count_rows, is_row, read_dataset, read_row

CLOUDS = np.arange(24, dtype=np.float32).reshape(2, 4, 3)


@pytest.fixture
def path(tmp_path):
    hdf5(tmp_path / "a.h5", data=CLOUDS, names=np.array([b"a", b"b"]), one=1.0)
    return tmp_path / "a.h5"


def test_datasets_and_their_rows_are_read(path, tmp_path):
    np.testing.assert_array_equal(read_row(f"{path}::data/1"), CLOUDS[1])
    np.testing.assert_array_equal(read_dataset(path, "data"), CLOUDS)
    assert count_rows(path, "data") == 2
    assert is_row(f"{path}::data/1") and not is_row(str(path))
    assert not is_row(str(tmp_path / "a.tar::data/1"))
    row = items.row("1", "points", [""], "", "s", "free", "g", path="a.h5::data/0")
    np.testing.assert_array_equal(items.load_item(SimpleNamespace(**row), tmp_path), CLOUDS[0])


@pytest.mark.parametrize(
    "member, reason",
    [
        ("data/2", r"no row 2 in a dataset \(2, 4, 3\)"),
        ("data/-1", "no row -1 in"),
        ("data/x", "no row x in"),
        ("points/0", "there is no dataset `points`"),
        ("names/0", "dataset `names` is no array of numbers"),
        ("one/0", "dataset `one` is no array of numbers"),
    ],
)
def test_a_row_that_is_not_there_is_a_bad_item(path, member, reason):
    with pytest.raises(BadItem, match=f"cannot read .*a.h5::{member}: {reason}"):
        read_row(f"{path}::{member}")


@pytest.mark.parametrize("content", [b"", b"<html>", None])
def test_another_file_is_refused_in_one_line(path, content):
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    with pytest.raises(BadItem, match="cannot read .*unreadable HDF5 file") as bad:
        read_row(f"{path}::data/0")
    with pytest.raises(ConfigError, match="a.h5: unreadable HDF5 file") as wrong:
        count_rows(path, "data")
    assert "\n" not in str(bad.value) + str(wrong.value)


def test_the_missing_package_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match="a.h5 is read by h5py: run `pip install h5py`"):
        read_dataset(path, "data")
