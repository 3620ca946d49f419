"""Fetch and unpack Debian packages as the data lock pins them, without root, on any system.

A .deb that is not in raw/debs comes from apt if apt has exactly that file, else from Debian's
archive of old packages, which also serves systems without apt.
"""

import glob
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, draft_path
from exmcr.corpora.mini.fetching import apt, data_lock, store, transfer, versions
from exmcr.corpora.mini.fetching.data_lock import Package
from exmcr.corpora.mini.fetching.transfer import Advance

# Serves every file that Debian has published, by its SHA-1.
ARCHIVE = "https://snapshot.debian.org/file/"


def fetch(package: str, raw: Path, only: tuple[str, ...] | None = None) -> Path:
    """The folder of an unpacked package; the first call downloads and unpacks it.

    raw: folder of all packages; only: suffixes of the files to unpack, None for all.

    Unpacked files are read-only. The folder is unpacked again if the lock has another .deb, if
    `only` differs, or if the number or total size of its files is not the recorded one.

    Raises ConfigError if the data lock does not list the package, if it cannot be downloaded (with
    instructions), or if it is damaged.
    """
    entry = data_lock.entry(package, "deb")
    folder = raw / package
    if not store.intact(folder, entry.sha256, only):
        with store.locked(raw):
            if not store.intact(folder, entry.sha256, only):  # another process may have done it
                if lacking := obtain([entry], raw):
                    raise ConfigError(lacking[package])
                store.unpack(path_of(entry, raw), folder, entry.sha256, only)
    return folder


def unpack_together(packages: Mapping[str, tuple[str, ...] | None], raw: Path) -> None:
    """Unpack packages, one per core at a time: decompression leaves Python's lock free.

    packages: {name: `only` of `fetch`}. Raises ConfigError as `fetch` does.
    """
    entries = {data_lock.entry(name, "deb"): only for name, only in packages.items()}
    with store.locked(raw), ThreadPoolExecutor(os.cpu_count()) as pool:
        missing = [
            e for e, only in entries.items() if not store.intact(raw / e.name, e.sha256, only)
        ]
        if lacking := obtain(missing, raw):
            raise ConfigError("\n".join(lacking.values()))
        # The largest first, so that none is left over at the end.
        missing.sort(key=lambda entry: -entry.size)
        jobs = [
            pool.submit(store.unpack, path_of(e, raw), raw / e.name, e.sha256, entries[e])
            for e in missing
        ]
        for job in tqdm(jobs, desc="unpacking packages", unit="package", disable=not jobs):
            job.result()


def path_of(entry: Package, raw: Path) -> Path:
    """Where the .deb is kept."""
    return raw / "debs" / entry.file


def obtain(
    entries: Sequence[Package], raw: Path, advance: Advance = lambda size: None
) -> dict[str, str]:
    """Bring the .deb of every entry into raw/debs. Needs the lock of `raw`.

    advance: called with the number of bytes that arrived.

    Returns {package: why it cannot be had, and what to do}.
    """
    debs = raw / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    missing = {entry.name: entry for entry in entries if not _is_there(entry, raw)}
    _collect(debs, missing)
    offers = apt.offers(list(missing))
    problem = _from_apt(debs, missing, offers, advance)
    requests = {
        name: transfer.Request(
            (ARCHIVE + entry.sha1,), path_of(entry, raw), entry.size, entry.sha256
        )
        for name, entry in missing.items()
    }
    failed = transfer.download(list(requests.values()), advance)
    return {
        name: "\n  ".join([_instructions(missing[name], debs, offers), problem, failed[it.target]])
        for name, it in requests.items()
        if it.target in failed
    }


def _is_there(entry: Package, raw: Path) -> bool:
    """Whether raw/debs has the file, which may bear another name: browsers write no epoch."""
    path = path_of(entry, raw)
    if entry.is_at(path):
        return True
    for other in others(entry.name, raw):
        if other != path and entry.is_at(other):
            os.replace(other, path)
            return True
    return False


def others(package: str, raw: Path) -> list[Path]:
    """Every .deb of a package in raw/debs, of any version."""
    return sorted((raw / "debs").glob(f"{glob.escape(package)}_*.deb"))


def _from_apt(
    debs: Path, missing: dict[str, Package], offers: Sequence[apt.Offer], advance: Advance
) -> str:
    """Download what apt has with the right hash; it leaves `missing`. Returns the problem."""
    exact = [o for o in offers if o.name in missing and o.sha256 == missing[o.name].sha256]
    if not exact:
        return "apt: it offers no such file" if offers else "apt: not installed, or it has no lists"
    draft = draft_path(debs / "apt")
    draft.mkdir()
    arrived = 0

    def count(size: int) -> None:
        nonlocal arrived
        arrived += size
        advance(size)

    problem = apt.download(exact, draft, count)
    advance(_collect(debs, missing) - arrived)
    return f"apt: {problem or 'it offers no such file'}"


def _collect(debs: Path, missing: dict[str, Package]) -> int:
    """Move what apt downloaded, in this run or in a killed one, to its place, out of `missing`.

    Returns the number of bytes.
    """
    size = 0
    for draft in debs.glob(".apt.*.part"):
        for entry in list(missing.values()):
            if entry.is_at(draft / entry.file):
                with atomic_write(debs / entry.file) as verified:
                    (draft / entry.file).rename(verified)
                size += missing.pop(entry.name).size
        shutil.rmtree(draft, ignore_errors=True)
    return size


def _instructions(entry: Package, debs: Path, offers: Sequence[apt.Offer]) -> str:
    text = (
        f"{entry.name} {entry.version}: put {entry.file} into {debs}/ (SHA-256 {entry.sha256}, "
        f"{entry.size} bytes)"
    )
    known = {offer.version for offer in offers if offer.name == entry.name}
    known |= {_version(path) for path in others(entry.name, debs.parent)}
    if not known:
        return text
    return (
        f"{text}, or use version {' or '.join(sorted(known, key=versions.key))}, which is there, "
        f"with `exmcr data --accept {entry.name}`"
    )


def _version(deb: Path) -> str:
    """The version in the name of a .deb."""
    return deb.name.split("_")[1].removesuffix(".deb").replace("%3a", ":")
