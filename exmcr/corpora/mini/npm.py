"""Fetch the one file that is used of an npm package: icons.json of an icon set.

It comes out of `npm pack`, or from a public server of the files of npm packages.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, draft_path
from exmcr.corpora.mini.fetching import archives, data_lock, programs, store, transfer
from exmcr.corpora.mini.fetching.data_lock import Package
from exmcr.corpora.mini.fetching.transfer import Advance

FILE = "icons.json"
SERVERS = ("https://cdn.jsdelivr.net/npm/", "https://unpkg.com/")


def fetch(package: str, raw: Path) -> Path:
    """The folder of a package, with icons.json in it; the first call downloads it.

    raw: folder of all packages; package: with its scope, such as @iconify-json/twemoji.

    Raises ConfigError if the data lock does not list the package, or if the file of the lock cannot
    be downloaded, with instructions.
    """
    entry = data_lock.entry(package, "npm")
    if not entry.is_at(path_of(entry, raw)):
        with store.locked(raw):
            if lacking := obtain([entry], raw):
                raise ConfigError(lacking[package])
    return path_of(entry, raw).parent


def path_of(entry: Package, raw: Path) -> Path:
    """Where icons.json is kept: in a folder that names package and version."""
    name = entry.name.lstrip("@").replace("/", "-")
    return raw / "npm" / f"{name}-{entry.version}" / entry.file


def obtain(
    entries: Sequence[Package], raw: Path, advance: Advance = lambda size: None
) -> dict[str, str]:
    """Bring icons.json of every entry into its folder. Needs the lock of `raw`.

    advance: called with the number of bytes that arrived.

    Returns {package: why it cannot be had, and what to do}.
    """
    problems = {}
    for entry in entries:
        path = path_of(entry, raw)
        if entry.is_at(path):
            continue
        problem = _from_npm(entry, path)
        if not problem:
            advance(entry.size)
            continue
        urls = tuple(f"{server}{entry.name}@{entry.version}/{entry.file}" for server in SERVERS)
        request = transfer.Request(urls, path, entry.size, entry.sha256)
        if failed := transfer.download([request], advance):
            problems[entry.name] = (
                f"{entry.name} {entry.version}: put {entry.file} of this version into "
                f"{path.parent}/ (SHA-256 {entry.sha256}, {entry.size} bytes), or accept the "
                f"current version with `exmcr data --accept {entry.name}`\n"
                f"  npm: {problem}\n  {failed[path]}"
            )
    return problems


def _from_npm(entry: Package, path: Path) -> str:
    """Returns "", or why npm does not deliver the file."""
    try:
        packed, draft = pack(f"{entry.name}@{entry.version}", path.parent.parent)
    except ConfigError as error:
        return str(error)
    try:
        if not entry.is_at(packed):
            return "it sends another file"
        with atomic_write(path) as verified:
            packed.rename(verified)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ""


def pack(name: str, folder: Path) -> tuple[Path, Path]:
    """Download a package with npm into a draft in `folder`.

    name: of the package, optionally with @version. Returns the paths of icons.json and of the
    draft, which the caller deletes. Raises ConfigError if npm is missing or fails.
    """
    if not shutil.which("npm"):
        raise ConfigError("not installed")
    draft = draft_path(folder / "pack")
    draft.mkdir(parents=True)
    options = ["--ignore-scripts", "--cache", str(draft / "cache")]
    try:
        if problem := programs.run(["npm", "pack", *options, name], draft):
            raise ConfigError(problem)
        archive = next(draft.glob("*.tgz"))
        archives.unpack(archive, draft / "content", (f"package/{FILE}", "package/package.json"))
        return draft / "content/package" / FILE, draft
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
