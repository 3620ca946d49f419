"""Weight files of the real spaces: the local folder, the cache of the model hub, and hashes.

Files are looked up in `folder()`; those of the model hub may also lie in its cache. downloads.py
fetches them.
"""

import http.client
import os
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_text
from exmcr.common.hashing import sha256
from exmcr.common.locks import locked
from exmcr.common.paths import project_root
from exmcr.spaces import downloads
from exmcr.spaces.weight_table import WEIGHTS, Weight


def folder(root: Path | None = None) -> Path:
    """Where weight files are looked up: $EXMCR_WEIGHTS, else `weights/` of the project at or above
    `root` (default: the current folder), else exmcr/weights in the user's cache ($XDG_CACHE_HOME or
    ~/.cache)."""
    if chosen := os.environ.get("EXMCR_WEIGHTS"):
        return Path(chosen)
    try:
        return project_root(root) / "weights"
    except ConfigError:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "exmcr/weights"


def under(root: Path | None, path: str | Path | None) -> Path | None:
    """A path from params.yaml, resolved against the project folder `root`; None stays None."""
    return None if path is None else Path(root or "") / path


def named(file: str) -> Weight:
    """The row of the table with this file name (suffix optional).

    Raises ConfigError, listing the names.
    """
    for weight in WEIGHTS:
        if file in (weight.file, weight.file.rsplit(".", 1)[0]):
            return weight
    names = ", ".join(weight.file for weight in WEIGHTS)
    raise ConfigError(f"no weight file '{file}' in the table; known: {names}")


def locate(weight: Weight, where: Path | None = None) -> Path | None:
    """The file in the weights folder, else in the cache of the model hub, else None."""
    own = (where or folder()) / weight.file
    if own.is_file():
        return own
    if weight.repo:
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:  # without the client of the hub there is no cache
            return None

        cached = try_to_load_from_cache(
            weight.repo, weight.path, repo_type=weight.kind, revision=weight.revision
        )
        if isinstance(cached, str):
            return Path(cached)
    return None


def license_of(path: Path) -> str:
    """License of a weight file on disk, also after its conversion to safetensors."""
    for weight in WEIGHTS:
        if locate(weight) == path:
            return weight.license
    for weight in WEIGHTS:
        parts = Path(weight.file).with_suffix("").parts  # "model" alone says nothing
        if path.with_suffix("").parts[-len(parts) :] == parts:
            return weight.license
    return "not known: no file of `exmcr weights`"


def check(weight: Weight, path: Path, where: Path | None = None) -> str:
    """Compare a file with its published hashes, else with the hash recorded at first use.

    Hashes are recorded in SHA256SUMS in the weights folder, readable by `sha256sum -c`. Returns
    "checked", or "recorded" at first use. Raises ConfigError if the hashes differ.
    """
    actual, how = _compared(weight, path, where)
    _record(weight, actual, where)
    return how


def _compared(weight: Weight, path: Path, where: Path | None) -> tuple[str, str]:
    """The SHA-256 of a file and what `check` returns, after its comparisons."""
    recorded = _recorded((where or folder()) / "SHA256SUMS").get(weight.file)
    actual, expected = sha256(path), weight.sha256 or recorded
    if weight.git and (blob := downloads.git_blob(path)) != weight.git:
        raise ConfigError(
            f"{path} is not the published {weight.file}: git names it {blob}, expected "
            f"{weight.git}; delete it and fetch it again"
        )
    if expected and actual != expected:
        raise ConfigError(
            f"{path} has SHA-256 {actual}, expected {expected}: delete it and fetch it again"
        )
    return actual, "checked" if expected or weight.git else "recorded"


def _record(weight: Weight, actual: str, where: Path | None) -> None:
    sums = (where or folder()) / "SHA256SUMS"
    recorded = _recorded(sums)
    if weight.file not in recorded:
        lines = [f"{value}  {name}" for name, value in recorded.items()]
        write_text(sums, "\n".join([*lines, f"{actual}  {weight.file}"]) + "\n")


def _recorded(sums: Path) -> dict[str, str]:
    """{file: SHA-256} of a file SHA256SUMS; empty if there is none."""
    if not sums.is_file():
        return {}
    recorded = {}
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        value, _, name = line.partition("  ")
        if len(value) != 64 or not name:
            raise ConfigError(f"{sums} is damaged: {line[:100]!r}; delete the line, or the file")
        recorded[name] = value
    return recorded


def fetch(weight: Weight, where: Path | None = None) -> Path:
    """Download into the weights folder, resuming an earlier attempt, and `check` the file.

    The file gets its name once it is complete, a weight file, and of the right hash; only then is
    its hash recorded. Raises ConfigError otherwise; the message says how to place it by hand.
    """
    where = where or folder()
    target = where / weight.file
    with locked(target.with_name(f".{target.name}.lock"), f"download of {weight.file}"):
        if not target.is_file():
            _fetch(weight, target, where)
        else:
            check(weight, target, where)
    return target


def _fetch(weight: Weight, target: Path, where: Path) -> None:
    by_hand = f"by hand: take it from {weight.page} and put it at {target}"
    part = target.with_name(target.name + ".part")
    try:
        stated = ""
        if weight.repo:
            stated = downloads.from_hub(weight, part)
        else:
            downloads.over_http(weight.url, part)
    except (OSError, http.client.HTTPException) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"cannot fetch {weight.file}: {type(error).__name__}: {reason}; {by_hand}"
        ) from error
    try:
        hashed = {64: sha256, 40: downloads.git_blob}.get(len(stated))
        if hashed and hashed(part) != stated:
            raise ConfigError("it arrived damaged: the hub states another hash")
        downloads.check_content(part, weight.file)
        actual, _ = _compared(weight, part, where)
    except ConfigError as error:
        part.unlink()
        reason = str(error).replace(str(part), weight.file)
        raise ConfigError(
            f"{weight.file} was not taken and was deleted: {reason}; try again, or {by_hand}"
        ) from error
    part.replace(target)
    _record(weight, actual, where)


def table(where: Path | None = None) -> str:
    """One line per file: space, file, size, license, page, and whether it is here."""
    where = where or folder()
    rows = [("space", "file", "about", "license", "from", "here")]
    for weight in WEIGHTS:
        size, path = f"{weight.megabytes} MB", locate(weight, where)
        here = "no"
        if path is not None:
            here = "yes" if path.is_relative_to(where) else "in the hub's cache"
        rows.append((weight.space, weight.file, size, weight.license, weight.page, here))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
    lines += ["", f"Folder: {where}", "How far the addresses are verified:"]
    lines += [f"  {weight.file}: {weight.note}" for weight in WEIGHTS]
    return "\n".join(lines)
