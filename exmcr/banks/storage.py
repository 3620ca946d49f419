"""The files of a bank: written, recognized, deleted, locked."""

import contextlib
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.files import DRAFT, atomic_write, remove_abandoned, write_note
from exmcr.common.hashing import sha256
from exmcr.common.locks import locked

FILES = ("manifest.json", "vectors.npy", "ids.parquet")
SHARDS, PLAN = "shards", "plan.json"
SHARD = re.compile(r"\d{9,}\.npz")


def lock(folder: Path) -> AbstractContextManager[None]:
    """Hold a bank for writing; a second process waits."""
    return locked(folder.parent / f".{folder.name}.lock", f"bank {folder}")


def write_vectors(folder: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int]) -> None:
    """Write vectors.npy, float32 rows from blocks (k, dim). Raises ConfigError for a full disk.

    A memory map would be shorter, but a process that writes to one on a full disk ends with a
    signal and without a message.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    rows = 0
    with atomic_write(folder / "vectors.npy") as draft, draft.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype="<f4").data)
            rows += len(block)
    if rows != shape[0]:
        raise RuntimeError(f"{rows} rows for {shape[0]} ids of {folder}")


def finish(folder: Path, table: pd.DataFrame, meta: dict[str, Any]) -> None:
    """Write ids and manifest beside the vectors. The manifest, written last, makes it a bank.

    table: column `id`, row by row; meta: the manifest without hashes.
    """
    with atomic_write(folder / "ids.parquet") as draft:
        table.to_parquet(draft, index=False)
    names = {"sha256": "vectors.npy", "ids_sha256": "ids.parquet"}
    hashes = {key: sha256(folder / name) for key, name in names.items()}
    write_note(folder / "manifest.json", meta | hashes)


def looks_like_a_bank(folder: Path) -> bool:
    """Whether a folder holds a bank, whole or damaged, and nothing else."""
    names = {path.name for path in folder.iterdir()}
    known = {*FILES, PLAN, SHARDS}
    foreign = {name for name in names - known if not DRAFT.fullmatch(name)}
    shards = folder / SHARDS
    if shards.is_dir():
        foreign |= {
            path.name
            for path in shards.iterdir()
            if not SHARD.fullmatch(path.name) and not DRAFT.fullmatch(path.name)
        }
    return "manifest.json" in names and len(names & set(FILES)) > 1 and not foreign


def check_ours(folder: Path) -> None:
    """Raise ConfigError for files that have the names of a bank's, but are without a manifest."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if not names & {"manifest.json", PLAN} and (foreign := names & {*FILES, SHARDS}):
        raise ConfigError(
            f"{folder / min(foreign)} is of no bank; move it away and run `exmcr extract` again"
        )


def discard(folder: Path) -> None:
    """Delete the files of a bank, and its folder if that is empty then. Other files stay.

    Manifest and plan, which show that the others are ours, are the last to go.
    """
    for name in ("vectors.npy", "ids.parquet"):
        (folder / name).unlink(missing_ok=True)
    discard_shards(folder)
    remove_abandoned(folder)
    for name in ("manifest.json", PLAN):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def discard_shards(folder: Path) -> None:
    """Delete the shards of a bank in the making, and their folder if that is empty then."""
    shards = folder / SHARDS
    for path in shards.glob("*.npz"):
        if SHARD.fullmatch(path.name):
            path.unlink()
    remove_abandoned(shards)
    with contextlib.suppress(OSError):
        shards.rmdir()


def check_place(folder: Path, replace: bool) -> None:
    """Raise ConfigError if a new bank in `folder` would need to delete anything but a bank, or a
    bank without `replace`."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file; a bank is a folder")
    if not any(folder.iterdir()):
        return
    if not looks_like_a_bank(folder):
        raise ConfigError(f"{folder} is not empty and holds no bank; choose another folder")
    if not replace:
        raise ConfigError(f"there is a bank at {folder}; --replace puts the new one in its place")
