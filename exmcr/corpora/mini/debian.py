"""Fetch and unpack Debian and Ubuntu data packages, as an ordinary user, on any system.

`apt-get download` needs no root once package lists exist. Where there is no apt, the user puts the .deb there."""

import io
import lzma
import os
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path

import zstandard

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256


def fetch(package: str, raw: Path, only: tuple[str, ...] | None = None) -> Path:
    """Return the folder with the unpacked package, downloading it on the first call only.

    `only` names the suffixes of the files that are unpacked, of a large package of which a few are wanted.

    The .deb stays in raw/debs and its SHA-256 is recorded in raw/SHA256SUMS; a recorded file that has changed is an
    error, so that results always name the data that made them. Unpacked files are read-only.
    Raises ConfigError with what to do when the package cannot be had."""
    target = raw / package
    debs = raw / "debs"
    if (target / ".complete").exists():
        return target
    debs.mkdir(parents=True, exist_ok=True)
    found = sorted(debs.glob(f"{package}_*.deb"))
    if not found:
        _download(package, debs)
        found = sorted(debs.glob(f"{package}_*.deb"))
    deb = found[-1]
    _record(deb, raw / "SHA256SUMS")
    part = raw / f".{package}.part"
    shutil.rmtree(part, ignore_errors=True)
    unpack(deb, part, only)
    (part / ".complete").touch()
    for file in part.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(0o444)
    part.rename(target)
    return target


def _download(package: str, debs: Path) -> None:
    page = f"https://packages.debian.org/stable/{package}"
    if not shutil.which("apt-get"):
        raise ConfigError(
            f"this system has no apt-get: download the .deb of '{package}' from {page} into {debs}/ and run again"
        )

    def apt(*words):
        return subprocess.run(["apt-get", "-q", *words], cwd=debs, capture_output=True, text=True)

    # Root would be told that the sandbox user cannot write here; a plain download needs no sandbox.
    download = ("-o", "APT::Sandbox::User=root", "download", package)
    result = apt(*download)
    if result.returncode and os.geteuid() == 0:
        apt("update")
        result = apt(*download)
    if result.returncode:
        raise ConfigError(
            f"apt-get could not download '{package}': {result.stderr.strip()[-300:]}\n"
            f"Run 'sudo apt-get update' once (on Ubuntu with 'universe' enabled), or put the .deb from {page} into {debs}/."
        )


def _record(deb: Path, sums: Path) -> None:
    digest = sha256(deb)
    lines = sums.read_text().splitlines() if sums.exists() else []
    known = dict(reversed(line.split("  ", 1)) for line in lines)
    if known.get(deb.name, digest) != digest:
        raise ConfigError(
            f"{deb} has changed since it was first used (see {sums}); delete it to download it again"
        )
    known[deb.name] = digest
    sums.write_text("".join(f"{d}  {n}\n" for n, d in sorted(known.items())))


def unpack(deb: Path, target: Path, only: tuple[str, ...] | None = None) -> None:
    """Unpack the payload of a .deb (an `ar` archive around a tar.xz or tar.zst), or its files with the suffixes `only`.

    Raises ConfigError when damaged."""
    with deb.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ConfigError(f"{deb} is not a Debian package; delete it to download it again")
        while header := file.read(60):
            if len(header) < 60 or header[58:] != b"`\n":
                raise ConfigError(f"{deb} is damaged; delete it to download it again")
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                body = file.read(size)
                if len(body) < size:
                    raise ConfigError(f"{deb} is cut short; delete it to download it again")
                try:
                    if name.endswith(".zst"):
                        body = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)).read()
                    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                        tar.extraction_filter = getattr(
                            tarfile, "data_filter", None
                        )  # Python before 3.11.4 has none and looks at _inside alone
                        tar.extractall(
                            target,
                            (
                                _inside(m, target)
                                for m in tar
                                if only is None or m.name.endswith(only)
                            ),
                        )
                except (
                    tarfile.TarError,
                    lzma.LZMAError,
                    zstandard.ZstdError,
                    zlib.error,
                    EOFError,
                ) as error:
                    raise ConfigError(
                        f"{deb} is damaged ({error}); delete it to download it again"
                    ) from error
                return
            file.seek(size + size % 2, 1)
    raise ConfigError(f"{deb} holds no data; delete it to download it again")


def _inside(member: tarfile.TarInfo, target: Path) -> tarfile.TarInfo:
    """The member itself. Raises TarError for what is no file, folder or link, or would leave the target."""
    root = target.resolve()
    ends = [root / member.name]
    if member.issym() or member.islnk():
        ends.append((ends[0].parent if member.issym() else root) / member.linkname)
    if not all(end.resolve().is_relative_to(root) for end in ends) or not (
        member.isfile() or member.isdir() or len(ends) == 2
    ):
        raise tarfile.TarError(f"{member.name} would leave the folder")
    return member
