"""The data lock: name, version, size and hash of every package that the mini corpus uses.

data.lock.yaml is part of the repository, so that results do not depend on which release of a
distribution serves the packages. `exmcr data --accept` rewrites it.
"""

import dataclasses
import functools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_text
from exmcr.common.hashing import PACKAGE, sha256

PATH = PACKAGE / "corpora/mini/data.lock.yaml"
KINDS = ("deb", "npm")
_HEADER = """\
# Every data package of `corpora: mini`, exactly as it was used: `exmcr data` prints the state of
# each, `exmcr data --accept NAME` puts another version here. sha1 is the address of a .deb in
# Debian's archive of old packages; files are verified by sha256 only.
"""
_PATTERNS = {
    "name": r"(@[a-z0-9][a-z0-9._~-]*/)?[a-z0-9][a-z0-9+._~-]*",
    "kind": "|".join(KINDS),
    "version": r"[0-9][A-Za-z0-9.+:~-]*",
    "file": r"[A-Za-z0-9][A-Za-z0-9.+%~_-]*",
    "sha256": "[0-9a-f]{64}",
    "sha1": "([0-9a-f]{40})?",
}


@dataclass(frozen=True)
class Package:
    """One pinned file: a .deb, or `icons.json` of an npm package.

    size: bytes; sha256, sha1: hex digits (sha1 of a .deb only).
    """

    name: str
    kind: str
    version: str
    file: str
    size: int
    sha256: str
    sha1: str = ""

    def is_at(self, path: Path) -> bool:
        """Whether a file is this one, by size and SHA-256."""
        return path.is_file() and path.stat().st_size == self.size and sha256(path) == self.sha256


@functools.cache
def _parse(text: str, path: Path) -> dict[str, Package]:
    try:
        entries = [Package(**entry) for entry in yaml.safe_load(text)]
        for entry in entries:
            for field, pattern in _PATTERNS.items():
                if not re.fullmatch(pattern, getattr(entry, field)):
                    raise ValueError(f"{field}: {getattr(entry, field)!r}")
            if not (isinstance(entry.size, int) and entry.size > 0):
                raise ValueError(f"size: {entry.size!r}")
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is damaged ({error}); restore it from the repository") from error
    return {entry.name: entry for entry in entries}


def read() -> dict[str, Package]:
    """{name: package}, in the order of the file. Raises ConfigError if it is damaged."""
    try:
        text = PATH.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the data lock {PATH}: {error}") from error
    return _parse(text, PATH)


def entry(name: str, kind: str) -> Package:
    """The entry of a package. Raises ConfigError if the lock has none of this kind."""
    found = read().get(name)
    if found is None or found.kind != kind:
        raise ConfigError(
            f"the {kind} package '{name}' is not in {PATH.name}; "
            f"`exmcr data --accept {name}` adds its current version"
        )
    return found


def check_name(name: str) -> None:
    """Raises ConfigError if no package can have this name."""
    if not re.fullmatch(_PATTERNS["name"], name):
        raise ConfigError(f"'{name}' is no name of a Debian or npm package")


def write(entry: Package) -> None:
    """Add or replace one entry. Raises ConfigError outside a checkout of the repository."""
    if PATH.is_relative_to(PACKAGE) and not (PACKAGE.parent / "pyproject.toml").is_file():
        raise ConfigError(
            f"{PATH} belongs to an installed package; the data lock can be changed only in a "
            "checkout of the repository, installed with `pip install -e .`"
        )
    entries = read() | {entry.name: entry}
    ordered = sorted(entries.values(), key=lambda item: (item.kind, item.name))
    rows = [{k: v for k, v in dataclasses.asdict(item).items() if v != ""} for item in ordered]
    write_text(PATH, _HEADER + yaml.safe_dump(rows, sort_keys=False))
