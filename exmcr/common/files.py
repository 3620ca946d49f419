"""Atomic writes: a file is complete or does not exist. Notes that can be checked."""

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.common.processes import cleanup_on_signals, has_ended, signature

DRAFT = re.compile(r"\..+\.([0-9a-f]{8}-\d+-\d+)-[0-9a-f]{8}\.part")
OLD = 86_400  # seconds, after which a draft that another host wrote counts as abandoned
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EEXIST,  # a file where a folder is needed
)
# How safetensors, torch and numpy report a full disk, without an error number.
FULL_MESSAGES = re.compile(
    r"os error (28|27|122)|No space left|file write failed|failed writing|unexpected pos|"
    r"requested and -?\d+ written"
)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` when the block ends without error.

    Creates the folder if needed. The draft is flushed to disk before it is renamed, gets the mode
    that the umask gives a new file, and is deleted after an error or a signal. Drafts of `path`
    whose writer was killed are deleted too.

    Raises ConfigError if the disk is full or the folder cannot be written.
    """
    path = Path(path)
    draft = draft_path(path)
    with cleanup_on_signals(), explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in drafts_of(path):
            remove_draft(other)
        try:
            yield draft
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.chmod(0o666 & ~_umask())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def draft_path(path: Path) -> Path:
    """A new name beside `path` that names this process, for a file or folder in the making."""
    return path.with_name(f".{path.name}.{signature()}-{uuid.uuid4().hex[:8]}.part")


def drafts_of(path: Path) -> list[Path]:
    """The drafts of `path`, of this and of other processes."""
    found = path.parent.glob(f".{glob.escape(path.name)}.*.part")
    return [draft for draft in found if DRAFT.fullmatch(draft.name)]


def remove_abandoned(folder: Path) -> None:
    """Delete the drafts in a folder, and below it, whose writers were killed."""
    for path in folder.rglob(".*.part"):
        remove_draft(path)


def remove_draft(path: Path) -> None:
    """Delete a draft if its writer was killed. Any other file stays."""
    match = DRAFT.fullmatch(path.name)
    if match is None:
        return
    try:
        ended = has_ended(match[1])
        if ended is None:
            ended = time.time() - path.stat().st_mtime > OLD
        if ended:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError:
        pass  # another process removed it, or the folder is read-only


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk and of a forbidden place into a ConfigError with `path`."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        if _is_full_disk(error):
            raise ConfigError(
                f"cannot write {path}: no space left on its disk; free some and run again"
            ) from error
        if isinstance(error, OSError) and error.errno in FORBIDDEN:
            raise ConfigError(f"cannot write {path}: {os.strerror(error.errno)}") from error
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically, UTF-8."""
    with atomic_write(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write indented JSON atomically."""
    write_text(path, _json(content))


def write_note(path: str | Path, content: dict[str, Any]) -> None:
    """Write JSON with its own digest as the last key, so that `read_note` finds any change."""
    write_json(path, content | {"digest": _digest(content)})


def read_note(path: str | Path, since: str | None = None) -> dict[str, Any]:
    """The content of a note, without its digest.

    since: a key that came with the digest. A note without it is of an older version, and is read
    without a check.

    Raises OSError if it cannot be read, ValueError if it is not what `write_note` wrote.
    """
    text = Path(path).read_text(encoding="utf-8")
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it is not a mapping")
    digest = content.pop("digest", None)
    if digest is None and since is not None and since not in content:
        return content
    if digest != _digest(content) or text != _json(content | {"digest": digest}):
        raise ValueError("its content does not match its digest")
    return content


def _is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that it hides, comes from a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if FULL_MESSAGES.search(str(error)):
            return True
        error = error.__context__
    return False


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
