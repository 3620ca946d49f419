"""Fetch and unpack Debian and Ubuntu data packages, without root, on any system.

`apt-get download` needs no root once package lists exist. Without apt, the user supplies the .deb.
"""

import io
import lzma
import os
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

import zstandard

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_text
from exmcr.common.hashing import sha256

UNREADABLE = (tarfile.TarError, lzma.LZMAError, zstandard.ZstdError, zlib.error, EOFError)


def fetch(package: str, raw: Path, only: tuple[str, ...] | None = None) -> Path:
    """The folder of an unpacked package; the first call downloads and unpacks it.

    raw: folder of all packages; only: suffixes of the files to unpack, None for all.

    The .deb is kept in raw/debs and its SHA-256 in raw/SHA256SUMS. Unpacked files are read-only.
    Raises ConfigError if the package is not available, with instructions, or if its .deb changed
    after the first use.
    """
    target = raw / package
    debs = raw / "debs"
    if (target / ".complete").exists():
        return target
    debs.mkdir(parents=True, exist_ok=True)
    versions = sorted(debs.glob(f"{package}_*.deb"))
    if not versions:
        _download(package, debs)
        versions = sorted(debs.glob(f"{package}_*.deb"))
    deb = versions[-1]
    _record(deb, raw / "SHA256SUMS")
    draft = raw / f".{package}.part"
    shutil.rmtree(draft, ignore_errors=True)
    unpack(deb, draft, only)
    (draft / ".complete").touch()
    for file in draft.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(0o444)
    draft.rename(target)
    return target


def _download(package: str, debs: Path) -> None:
    page = f"https://packages.debian.org/stable/{package}"
    if not shutil.which("apt-get"):
        raise ConfigError(
            f"this system has no apt-get: download the .deb of '{package}' from {page} "
            f"into {debs}/ and run again"
        )

    def apt(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["apt-get", "-q", *words], cwd=debs, capture_output=True, text=True)

    # A plain download needs no sandbox, whose user could not write here.
    download = ("-o", "APT::Sandbox::User=root", "download", package)
    result = apt(*download)
    if result.returncode and os.geteuid() == 0:
        apt("update")
        result = apt(*download)
    if result.returncode:
        raise ConfigError(
            f"apt-get could not download '{package}': {result.stderr.strip()[-300:]}\n"
            "Run 'sudo apt-get update' once (on Ubuntu with 'universe' enabled), "
            f"or put the .deb from {page} into {debs}/."
        )


def _record(deb: Path, sums: Path) -> None:
    """Add the SHA-256 of a .deb to the list, or compare it with the listed one."""
    digest = sha256(deb)
    known: dict[str, str] = {}
    for line in sums.read_text().splitlines() if sums.exists() else []:
        listed, name = line.split("  ", 1)
        known[name] = listed
    if known.get(deb.name, digest) != digest:
        raise ConfigError(
            f"{deb} has changed since it was first used (see {sums}); "
            "delete it to download it again"
        )
    known[deb.name] = digest
    write_text(sums, "".join(f"{listed}  {name}\n" for name, listed in sorted(known.items())))


def unpack(deb: Path, target: Path, only: tuple[str, ...] | None = None) -> None:
    """Unpack the data of a .deb: an `ar` archive around a tar.xz or tar.zst.

    only: suffixes of the files to unpack, None for all. Raises ConfigError if it is damaged.
    """
    with deb.open("rb") as file:
        name, size = _find_data(deb, file)
        content = file.read(size)
    if len(content) < size:
        raise ConfigError(f"{deb} is truncated; delete it to download it again")
    try:
        if name.endswith(".zst"):
            content = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)).read()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            # Python before 3.11.4 has no filter and relies on _inside.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            wanted = (m for m in tar if only is None or m.name.endswith(only))
            tar.extractall(target, (_inside(member, target) for member in wanted))
    except UNREADABLE as error:
        raise ConfigError(f"{deb} is damaged ({error}); delete it to download it again") from error


def _find_data(deb: Path, file: BinaryIO) -> tuple[str, int]:
    """Name and size of the data member of an open .deb. Leaves the file at its content."""
    if file.read(8) != b"!<arch>\n":
        raise ConfigError(f"{deb} is not a Debian package; delete it to download it again")
    while header := file.read(60):
        if len(header) < 60 or header[58:] != b"`\n":
            raise ConfigError(f"{deb} is damaged; delete it to download it again")
        name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
        if name.startswith("data.tar"):
            return name, size
        file.seek(size + size % 2, 1)
    raise ConfigError(f"{deb} has no data; delete it to download it again")


def _inside(member: tarfile.TarInfo, target: Path) -> tarfile.TarInfo:
    """The member itself. Raises TarError if it is no file, folder or link, or leaves the target."""
    root = target.resolve()
    ends = [root / member.name]
    is_link = member.issym() or member.islnk()
    if is_link:
        ends.append((ends[0].parent if member.issym() else root) / member.linkname)
    inside = all(end.resolve().is_relative_to(root) for end in ends)
    if not inside or not (member.isfile() or member.isdir() or is_link):
        raise tarfile.TarError(f"{member.name} would leave the folder")
    return member
