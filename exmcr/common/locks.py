"""Lock files: one process at a time works on a bank or a stage."""

import errno
import fcntl
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.processes import cleanup_on_signals

PAUSE = 0.2  # seconds between two attempts
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

_held: set[FileIO] = set()


@contextmanager
def locked(path: str | Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` within the block; wait for another process that holds it.

    what: the work, such as "stage extract". The file names process, host and work, and a process
    that waits prints them. The system releases the lock of a process that ends, however it ends, so
    the file of a killed one is taken over. Nothing is locked in a folder that this process may not
    write, or on a file system without locks.
    """
    path = Path(path)
    with cleanup_on_signals():
        file = _acquire(path, what)
        try:
            yield
        finally:
            if file is not None and file in _held:
                path.unlink(missing_ok=True)
                _held.remove(file)
                file.close()


def _acquire(path: Path, what: str) -> FileIO | None:
    waiting = False
    while True:
        file = _open(path)
        if file is None:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if not waiting:
                print(f"exmcr: {what}: waiting for {_holder(path)}", file=sys.stderr, flush=True)
            waiting = True
            time.sleep(PAUSE)
            continue
        except OSError as error:
            file.close()
            if error.errno in WITHOUT_LOCKS:
                return None
            raise
        if _is_at(file, path):
            _sign(file, what)
            _held.add(file)
            return file
        file.close()  # its holder deleted it between our open and our lock


def _open(path: Path) -> FileIO | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab", buffering=0)
    except OSError as error:
        if error.errno in UNWRITABLE:
            return None
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def _is_at(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sign(file: FileIO, what: str) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    holder = {"pid": os.getpid(), "host": platform.node(), "what": what, "since": since}
    with suppress(OSError):  # on a full disk the lock holds without a signature
        file.truncate(0)
        file.write(json.dumps(holder).encode() + b"\n")


def _holder(path: Path) -> str:
    """The process that holds a lock, in words."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']}"
        return f"{who}, at work on {holder['what']} since {holder['since']} ({path})"
    except (OSError, ValueError, KeyError, TypeError):
        return f"another process ({path})"


def _release_in_child() -> None:
    """A forked worker must not keep the lock of a parent that was killed."""
    if _held:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for file in _held:
            os.dup2(nowhere, file.fileno())
        os.close(nowhere)
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)
