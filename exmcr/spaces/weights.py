"""Weight files of the real spaces: the local folder, the model hub, downloads and hashes.

Files are looked up in `folder()`; those of the model hub may also lie in its cache.
"""

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_text
from exmcr.common.hashing import sha256
from exmcr.common.paths import project_root
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

        cached = try_to_load_from_cache(weight.repo, weight.path, repo_type=weight.kind)
        if isinstance(cached, str):
            return Path(cached)
    return None


def license_of(path: Path) -> str:
    """License of a weight file on disk, also after its conversion to safetensors."""
    for weight in WEIGHTS:
        if locate(weight) == path:
            return weight.license
    for weight in WEIGHTS:
        if Path(weight.file).stem == path.stem:
            return weight.license
    return "not known: no file of `exmcr weights`"


def check(weight: Weight, path: Path, where: Path | None = None) -> str:
    """Compare a file with its hash in the table, else with the hash recorded at first use.

    Hashes are recorded in SHA256SUMS in the weights folder, readable by `sha256sum -c`. Returns
    "checked", or "recorded" at first use. Raises ConfigError if the hashes differ.
    """
    sums = (where or folder()) / "SHA256SUMS"
    lines = sums.read_text().splitlines() if sums.is_file() else []
    recorded = {name: value for value, name in (line.split("  ", 1) for line in lines)}
    actual, expected = sha256(path), weight.sha256 or recorded.get(weight.file)
    if expected and actual != expected:
        raise ConfigError(
            f"{path} has SHA-256 {actual}, expected {expected}: delete it and fetch it again"
        )
    if weight.file not in recorded:
        write_text(sums, "\n".join([*lines, f"{actual}  {weight.file}"]) + "\n")
    return "checked" if expected else "recorded"


def fetch(weight: Weight, where: Path | None = None) -> Path:
    """Download into the weights folder, resuming an earlier attempt, and `check` the file.

    Raises ConfigError if the network fails or the hash is wrong; the message says how to place the
    file by hand.
    """
    where = where or folder()
    target = where / weight.file
    by_hand = f"by hand: take it from {weight.page} and put it at {target}"
    try:
        expected = _from_hub(weight, target) if weight.repo else download(weight.url, target)
    except OSError as error:  # the base class of all errors of urllib and of `_from_hub`
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"cannot fetch {weight.file}: {type(error).__name__}: {reason}; {by_hand}"
        ) from error
    if expected and sha256(target) != expected:
        target.unlink()
        raise ConfigError(f"{weight.file} arrived damaged and was deleted; try again, or {by_hand}")
    check(weight, target, where)
    return target


def _from_hub(weight: Weight, target: Path) -> str:
    """Download with huggingface_hub, which resumes.

    Returns the SHA-256 that the hub states for large files, or "". Raises OSError.
    """
    parts = target.with_name(target.name + ".part")
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        parts.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(weight.repo, weight.path, repo_type=weight.kind)
        stated = get_hf_file_metadata(url).etag or ""
        # A folder of its own: with the hub's cache the file would lie on the disk twice.
        loaded = hf_hub_download(weight.repo, weight.path, repo_type=weight.kind, local_dir=parts)
    except Exception as error:  # errors of the client and of the HTTP library that it uses
        raise OSError(f"{type(error).__name__}: {error}") from error
    os.replace(loaded, target)
    shutil.rmtree(parts)
    return stated if len(stated) == 64 else ""


def download(url: str, target: Path) -> str:
    """Download by plain HTTP, resuming from `target`.part. Returns "": no hash is stated.

    Raises OSError if the connection fails or ends early; the next call resumes there.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    offset = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={offset}-"} if offset else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the part is as long as the file or longer: start again
            raise
        offset, answer = 0, urllib.request.urlopen(url, timeout=60)
    # A server without support for ranges answers 200 and sends the whole file.
    with answer, part.open("ab" if offset and answer.status == 206 else "wb") as file:
        expected = answer.headers.get("Content-Length")
        received = 0
        while block := answer.read(1 << 20):
            received += file.write(block)
    if expected is not None and received != int(expected):
        raise OSError(f"the connection ended after {received} of {expected} bytes")
    part.replace(target)
    return ""


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
