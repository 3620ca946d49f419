"""The hashes of the files that the stage `corpora` makes, so that later stages notice a change.

data/media.json    SHA-256 of every file below data/media that the item table lists
data/items.json    SHA-256 of the item table itself
data/media_unlisted.json  of files that an earlier table listed, while they exist
"""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.files import read_note, write_note
from exmcr.common.hashing import check_file, sha256

UNLISTED = "media_unlisted.json"
FOLDER = "media/"  # below the data folder; other files that a table lists are not ours
MEND = "run `exmcr corpora`, which makes it again"


def record(table: pd.DataFrame, data: Path) -> None:
    """Record the files of an item table that lie below data/media.

    Files that an earlier table listed stay recorded in a note of their own, so that damage to them
    is noticed when a later table lists them again.
    """
    paths = sorted({path for path in table.path if path.startswith(FOLDER)})
    files = {path: sha256(data / path) for path in paths if (data / path).is_file()}
    unlisted = {
        path: known
        for path, known in _known(data).items()
        if path not in files and (data / path).is_file()
    }
    write_note(data / "media.json", {"files": files})
    if unlisted:
        write_note(data / UNLISTED, {"files": unlisted})
    else:
        (data / UNLISTED).unlink(missing_ok=True)


def remove_damaged(data: Path) -> None:
    """Delete the recorded files that have changed since, so that they are made again.

    Without a readable record nothing is deleted. Prints how many were damaged, and one of them.
    """
    damaged = [
        path
        for path, known in _known(data).items()
        if (data / path).is_file() and sha256(data / path) != known
    ]
    for path in damaged:
        (data / path).unlink()
    if damaged:
        print(f"{len(damaged)} files are damaged, e.g. {data / damaged[0]}; making them again")


def _known(data: Path) -> dict[str, str]:
    """{path: SHA-256} of every file recorded so far, without what unreadable records held."""
    known: dict[str, str] = {}
    for name in (UNLISTED, "media.json"):
        with suppress(OSError, ValueError, KeyError):
            known |= read_note(data / name)["files"]
    return known


def with_hashes(table: pd.DataFrame, data: Path) -> pd.DataFrame:
    """An item table with the column `sha256` of recorded files, "" for others.

    Unchanged if there is no record. Raises ConfigError for a damaged one.
    """
    if not (data / "media.json").is_file():
        return table
    files = _recorded(data)
    return table.assign(sha256=[files.get(path, "") for path in table.path])


def check(path: str, data: Path) -> None:
    """Compare a file of the item table with the record, if it is recorded.

    Raises ConfigError that names it, or the damaged record.
    """
    if path.startswith(FOLDER) and (data / "media.json").is_file():
        known = _recorded(data).get(path)
        if known is not None and (data / path).is_file():
            check_file(data / path, known, MEND)


def record_table(path: Path) -> None:
    """Record the SHA-256 of an item table beside it."""
    write_note(path.with_suffix(".json"), {"sha256": sha256(path)})


def check_table(path: Path) -> None:
    """Compare an item table with its record, if there is one. Raises ConfigError for another."""
    note = path.with_suffix(".json")
    if note.is_file():
        check_file(path, _read(note).get("sha256"), MEND)


def _recorded(data: Path) -> dict[str, str]:
    note = data / "media.json"
    status = note.stat()
    return _files(note, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _files(note: Path, _changed: int, _size: int) -> dict[str, str]:
    return _read(note)["files"]


def _read(note: Path) -> dict[str, Any]:
    try:
        return read_note(note)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{note} is damaged: {error}; {MEND}") from error
