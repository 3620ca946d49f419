"""Hashes: of files, of folders of code, of anything that makes a fingerprint."""

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, 64 hex digits, read in constant memory. Raises OSError if unreadable."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*parts: str | bytes | Path) -> str:
    """SHA-256 hex digest of strings, bytes and the contents of files, in order.

    Fingerprints of spaces and keys of kept results are made with it.
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
    """SHA-256 hex digest of the source of these folders of the package, names included.

    A result kept under a key that contains this digest is made again after any edit of the code
    behind it. Read once per process: the running code is the code that was imported.
    """
    files = sorted(path for folder in folders for path in (PACKAGE / folder).rglob("*.py"))
    return digest(*(part for path in files for part in (str(path.relative_to(PACKAGE)), path)))


def stable_uniform(key: str) -> float:
    """A fixed pseudo-random number in [0, 1) for a string, the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big") / 2**56
