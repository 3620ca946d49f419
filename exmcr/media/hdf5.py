"""Datasets in HDF5 files. `file.h5::data/12` is the path of row 12 of the dataset `data`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem, ConfigError
from exmcr.media.guard import bad_items, check_bytes
from exmcr.media.tars import shard_and_member

SUFFIXES = (".h5", ".hdf5")


def is_row(path: str) -> bool:
    """Whether this is the path of a row in an HDF5 file."""
    file, member = shard_and_member(path)
    return member != "" and Path(file).suffix.lower() in SUFFIXES


def read_row(path: str) -> np.ndarray:
    """One row of a dataset: `file.h5::dataset/row`.

    Raises BadItem if it cannot be read, ConfigError if the package h5py is missing.
    """
    file, member = shard_and_member(path)
    name, _, number = member.rpartition("/")
    try:
        with _opened(file, name) as dataset:
            if not number.isdecimal() or int(number) >= len(dataset):
                raise BadItem(f"no row {number} in a dataset {dataset.shape}")
            check_bytes(dataset.nbytes // len(dataset), "the row")
            return np.asarray(dataset[int(number)])
    except BadItem as error:
        raise BadItem(f"cannot read {path}: {error}") from error


def read_dataset(path: Path, name: str) -> np.ndarray:
    """A whole dataset. Raises ConfigError if it cannot be read, or if h5py is missing."""
    try:
        with _opened(str(path), name) as dataset:
            check_bytes(dataset.nbytes, f"dataset `{name}`")
            return np.asarray(dataset[()])
    except BadItem as error:
        raise ConfigError(f"{path}: {error}") from error


def count_rows(path: Path, name: str) -> int:
    """Number of rows of a dataset. Raises ConfigError as `read_dataset`."""
    try:
        with _opened(str(path), name) as dataset:
            return len(dataset)
    except BadItem as error:
        raise ConfigError(f"{path}: {error}") from error


@contextlib.contextmanager
def _opened(path: str, name: str) -> Iterator[Any]:
    """A dataset of numbers. Raises BadItem if there is none."""
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f"{path} is read by h5py: run `pip install h5py`") from error
    # Raw data may lie on a disk that is read-only, where files cannot be locked.
    with bad_items("HDF5 file"), h5py.File(path, "r", locking=False) as file:
        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise BadItem(f"there is no dataset `{name}`")
        if dataset.dtype.kind not in "iuf" or dataset.ndim == 0:
            raise BadItem(f"dataset `{name}` is no array of numbers")
        yield dataset
