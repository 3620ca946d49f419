"""Hashes of files, of source code and of names, from which fingerprints and keys are made."""

import hashlib
import time
from functools import cache
from pathlib import Path

from exmcr.common.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, 64 hex digits, read in constant memory. Raises OSError if unreadable."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_hashes: dict[tuple[str, int, int, int], str] = {}


def sha256_once(path: str | Path) -> str:
    """`sha256`, computed once per process as long as the file stays the same one."""
    status = Path(path).stat()
    key = (str(Path(path).absolute()), status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _hashes:
        value = sha256(path)
        # Clocks of file systems are coarse: a file that was just written may still change unseen.
        if time.time_ns() - status.st_mtime_ns < 1_000_000_000:
            return value
        _hashes[key] = value
    return _hashes[key]


def check_file(path: str | Path, expected: object, mend: str) -> None:
    """Compare a file with the SHA-256 that its maker recorded.

    Raises ConfigError that names the file, and `mend` as what to do, if it is missing or another.
    """
    try:
        actual = sha256_once(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; {mend}") from error
    if actual != expected:
        raise ConfigError(f"{path} is damaged or was exchanged: its SHA-256 is another; {mend}")


def digest(*parts: str | bytes | Path) -> str:
    """SHA-256 hex digest of strings, bytes and the contents of files (paths), in order.

    Makes the fingerprints of spaces and the keys of cached results. Raises OSError for a missing
    file.
    """
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = bytes.fromhex(sha256(part))
        elif isinstance(part, str):
            part = part.encode()
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


@cache
def code_digest(*folders: str) -> str:
    """SHA-256 hex digest of the source files in these folders of the package, with their names.

    A key that contains it invalidates a cached result after any edit of the code behind it. Read
    once per process, since the running code is the code that was imported.
    """
    files = sorted(path for folder in folders for path in (PACKAGE / folder).rglob("*.py"))
    assert all((PACKAGE / folder).is_dir() for folder in folders), folders
    return digest(*(part for path in files for part in (str(path.relative_to(PACKAGE)), path)))


def stable_uniform(key: str) -> float:
    """A fixed pseudo-random number in [0, 1) for a string, the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big") / 2**56
