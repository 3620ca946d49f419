"""Unpack .deb and .tgz archives that may be damaged or hostile.

Files are written first and symbolic links last, so that nothing is ever written through a link.
"""

import gzip
import hashlib
import lzma
import os
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import zstandard

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini.fetching import tar_reader
from exmcr.corpora.mini.fetching.tar_reader import Damaged, Member

# An archive may unpack to this many bytes, and to RATIO times its size more.
SPARE, RATIO = 64 << 20, 50
_UNREADABLE = (
    gzip.BadGzipFile,
    lzma.LZMAError,
    zstandard.ZstdError,
    zlib.error,
    EOFError,
    ValueError,
    MemoryError,
)


def unpack(archive: Path, target: Path, only: tuple[str, ...] | None = None) -> dict[str, str]:
    """Unpack the data of a .deb, or a .tgz, into the new folder `target`. Files are read-only.

    only: suffixes of the files to unpack, None for all. Empty folders are left out.

    Returns {relative path: SHA-256 of a file, or "-> target" of a symbolic link}. Raises
    ConfigError if the archive is damaged, would write outside the folder, holds anything but files,
    folders and links, or unpacks to more than SPARE + RATIO times its size; also if the archive
    cannot be read or the folder cannot be written.
    """
    with _one_error(archive), archive.open("rb") as file:
        target.mkdir(parents=True)
        digests: dict[str, str] = {}
        links: dict[str, str] = {}
        copies = 0  # bytes
        for member in _members(file, archive, "data.tar"):
            name = _inside(member.name)
            if member.kind == tar_reader.FOLDER or (only and not name.endswith(only)):
                continue
            if name in digests or name in links:
                raise Damaged(f"two members are named {name}")
            if member.kind == tar_reader.SYMBOLIC_LINK:
                links[name] = member.link
                continue
            if member.kind == tar_reader.HARD_LINK:
                member.content = _copy(member, target, digests)
                copies += (target / _inside(member.link)).stat().st_size
                if copies > _limit(archive):
                    raise Damaged("it unpacks to far more than its size")
            if digest := _write(target / name, member.content):
                digests[name] = digest
        return digests | _write_links(target, links)


def read_file(archive: Path, name: str) -> bytes:
    """One file of a .tgz, or of the control archive of a .deb. Raises ConfigError as `unpack`."""
    with _one_error(archive), archive.open("rb") as file:
        for member in _members(file, archive, "control.tar"):
            if member.kind == tar_reader.FILE and _inside(member.name) == name:
                return b"".join(member.content)
        raise Damaged(f"it has no file {name}")


@contextmanager
def _one_error(archive: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        reason = str(error) or type(error).__name__
        raise ConfigError(
            f"{archive} is damaged ({reason}); delete it to download it again"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot unpack {archive}: {error}") from error


# the archive


def _members(file: IO[bytes], archive: Path, part: str) -> Iterator[Member]:
    name, packed = (archive.name, file) if archive.suffix != ".deb" else _ar_member(file, part)
    return tar_reader.members(_decompressed(name, packed), _limit(archive))


def _limit(archive: Path) -> int:
    return SPARE + RATIO * archive.stat().st_size


class _Window:
    """The next `size` bytes of a file, as a file."""

    def __init__(self, file: IO[bytes], size: int):
        self.file, self.left = file, size

    def read(self, size: int = -1) -> bytes:
        size = self.left if size < 0 else min(size, self.left)
        content = self.file.read(size)
        if len(content) < size:
            raise Damaged("it is truncated")
        self.left -= size
        return content


def _ar_member(file: IO[bytes], start: str) -> tuple[str, Any]:
    """Name and content of the member of a .deb (an `ar` archive) whose name starts like this."""
    if file.read(8) != b"!<arch>\n":
        raise Damaged("it is not a Debian package")
    while header := file.read(60):
        if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise Damaged("a header is malformed or cut")
        name, size = header[:16].decode("latin-1").strip().rstrip("/"), int(header[48:58])
        if name.startswith(start):
            return name, _Window(file, size)
        file.seek(size + size % 2, os.SEEK_CUR)
    raise Damaged(f"it has no {start}")


def _decompressed(name: str, file: Any) -> Any:
    if name.endswith(".xz"):
        return lzma.LZMAFile(file)
    if name.endswith((".gz", ".tgz")):
        return gzip.GzipFile(fileobj=file)
    if name.endswith(".zst"):
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    if name.endswith(".tar"):
        return file
    raise Damaged(f"{name} is compressed in an unknown way")


# the folder


def _inside(name: str) -> str:
    """The name as a relative path without '.'. Raises Damaged if it leaves the folder."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise Damaged(f"{name} would leave the folder")
    return "/".join(parts)


def _copy(link: Member, target: Path, written: dict[str, str]) -> Iterator[bytes]:
    """The content of the file that a hard link leads to, which must precede it."""
    source = _inside(link.link)
    if source not in written:
        raise Damaged(f"{link.name} is a link to {source}, which does not precede it")
    return _chunks(target / source)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while content := file.read(tar_reader.CHUNK):
            yield content


def _write(place: Path, content: Iterable[bytes]) -> str:
    """Write a new file, read-only. Returns its SHA-256.

    Returns "" where the file system takes the name for that of an earlier file (on macOS, 'A' is
    'a'): the earlier file is kept.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    except (FileExistsError, NotADirectoryError):
        if not place.is_file():
            raise Damaged(f"{place.name} lies in a file, or is a folder") from None
        return ""
    digest = hashlib.sha256()
    with open(descriptor, "wb") as file:
        for chunk in content:
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


def _write_links(target: Path, links: dict[str, str]) -> dict[str, str]:
    """Make symbolic links, after all files. Returns {name: "-> target"}."""
    keys = {_key(name) for name in links}
    for name, link in links.items():
        _check_link(name, link, keys)
    made = {}
    for name, link in links.items():
        place = target / name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(link)
        except (FileExistsError, NotADirectoryError):
            raise Damaged(f"{name} is a link and something else") from None
        made[name] = f"-> {link}"
    return made


def _check_link(name: str, link: str, links: set[str]) -> None:
    """Raises Damaged if a link leaves the folder, lies behind a link, or passes through one.

    The last two, since '..' behind a link counts from where that link leads. Links to files or
    folders that are not unpacked are allowed.
    """
    *parts, _ = name.split("/")
    steps = [step for step in link.split("/") if step not in ("", ".")]
    if link.startswith("/"):
        raise Damaged(f"{name} would leave the folder")
    if any(_key("/".join(parts[: n + 1])) in links for n in range(len(parts))):
        raise Damaged(f"{name} lies behind a link")
    for number, step in enumerate(steps):
        if step == ".." and not parts:
            raise Damaged(f"{name} would leave the folder")
        parts = parts[:-1] if step == ".." else [*parts, step]
        if number < len(steps) - 1 and _key("/".join(parts)) in links:
            raise Damaged(f"{name} leads through the link {'/'.join(parts)}")


def _key(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()
