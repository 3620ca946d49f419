"""Members of uncompressed tars, read in place. `shard.tar::member` is the path of a member."""

import contextlib
import functools
import os
import re
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.files import explained

LARGEST = 1 << 30  # bytes of a member; a program that needs more assigns this
BLOCK = 1 << 20  # bytes that are copied at a time


@contextlib.contextmanager
def local_file(path: str) -> Iterator[Path]:
    """A path that can be opened: the file itself, or a temporary copy of a member of a tar.

    path: of a file, or `shard.tar::member`. A file whose name holds `::` is taken as it is.

    Raises BadItem if a member cannot be read, is larger than LARGEST or not a plain file;
    ConfigError if the disk of temporary files is full.
    """
    shard, member = shard_and_member(path)
    if not member:
        yield Path(path)
        return
    with tempfile.NamedTemporaryFile(suffix=_suffix(member)) as file:
        with explained(Path(file.name)):
            for block in _blocks(path, shard, member):
                file.write(block)
            file.flush()
        try:
            yield Path(file.name)
        except BadItem as error:
            # Manifests record the reason, and must not depend on the name of the copy.
            reason = str(error).replace(file.name, path)
            reason = reason.replace(Path(file.name).name, f"{Path(shard).name}::{member}")
            raise BadItem(reason) from error


def _blocks(path: str, shard: str, member: str) -> Iterator[bytes]:
    """The content of a member. Raises BadItem with the reason if it cannot be read."""
    try:
        yield from open_tar(shard).blocks(member)
    except (KeyError, OSError, ConfigError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise BadItem(f"cannot read {path}: {reason}") from error


def _suffix(member: str) -> str:
    """The suffix of a member if it can be part of a file name of any system."""
    suffix = Path(member).suffix
    return suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,16}", suffix) else ""


def shard_and_member(path: str) -> tuple[str, str]:
    """`shard.tar::member` -> its two parts; (path, "") for a file.

    Names of files, shards and members may hold `::` themselves: what exists on the disk decides.
    """
    if "::" not in path or os.path.isfile(path):
        return path, ""
    place = path.find("::")
    while place != -1:
        if _is_file(path[:place]):
            return path[:place], path[place + 2 :]
        place = path.find("::", place + 1)
    shard, _, member = path.partition("::")
    return shard, member


@functools.lru_cache(maxsize=64)
def _is_file(path: str) -> bool:
    return os.path.isfile(path)


class Member(NamedTuple):
    """A file in a tar.

    begin   offset of its content in the tar
    size    its length in bytes
    holes   None, or for a sparse file the (offset in the file, length) of each part that is stored
    """

    begin: int
    size: int
    holes: tuple[tuple[int, int], ...] | None = None


class Tar:
    """An uncompressed tar, opened and indexed once. Several threads can read it.

    members: {name: Member}, in the order of the tar. Of several files of one name, the last counts.

    Raises ConfigError if the file is missing or not an uncompressed tar.
    """

    def __init__(self, path: str):
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by __del__)
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                infos = list(tar)
                end = tar.offset
            ends = [*(info.offset for info in infos[1:]), end]
            files = [pair for pair in zip(infos, ends) if pair[0].isfile()]
            self.members = {info.name: _member(info, end) for info, end in files}
            # tarfile takes a damaged header for the end.
            if any(os.pread(self._file.fileno(), tarfile.BLOCKSIZE, end)):
                raise tarfile.ReadError(f"the header at byte {end} is damaged")
        except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
            raise ConfigError(f"{path} is not a readable tar: {error or 'damaged'}") from error

    def read(self, member: str) -> bytes:
        """The content of a member.

        Raises KeyError if there is none of this name, OSError if it is larger than LARGEST or the
        tar ends inside it.
        """
        return b"".join(self.blocks(member))

    def blocks(self, name: str) -> Iterator[bytes]:
        """The content of a member in blocks of at most BLOCK bytes. Raises as `read`."""
        if name not in self.members:
            raise KeyError("there is no member of this name")
        member = self.members[name]
        if member.size > LARGEST:
            raise OSError(
                f"it has {member.size} bytes, more than {LARGEST}; "
                "assign exmcr.media.tars.LARGEST to read it"
            )
        if member.holes is None:
            yield from self._stored(member.begin, member.size)
        else:
            yield from self._sparse(member, member.holes)

    def _stored(self, offset: int, size: int) -> Iterator[bytes]:
        for begin in range(0, size, BLOCK):
            length = min(BLOCK, size - begin)
            # Unlike seek and read, pread has no state that threads would share.
            content = os.pread(self._file.fileno(), length, offset + begin)
            if len(content) < length:
                raise OSError(f"only {begin + len(content)} of {size} bytes")
            yield content

    def _sparse(self, member: Member, parts: tuple[tuple[int, int], ...]) -> Iterator[bytes]:
        """The parts of a sparse file that are stored, and zeros between them."""
        written, offset = 0, member.begin
        for begin, length in (*parts, (member.size, 0)):
            if begin < written or length < 0 or begin + length > member.size:
                raise OSError("the map of a sparse file is damaged")
            for gap in range(written, begin, BLOCK):
                yield bytes(min(BLOCK, begin - gap))
            yield from self._stored(offset, length)
            written, offset = begin + length, offset + length

    def __del__(self):
        if hasattr(self, "_file"):
            self._file.close()


def _member(info: tarfile.TarInfo, end: int) -> Member:
    """The place of a file whose content ends at `end` at the latest. Raises ValueError."""
    parts: list[tuple[int, int]] | None = getattr(info, "sparse", None)
    holes = None if parts is None else tuple(part for part in parts if part[1] != 0)
    stored = info.size if holes is None else sum(size for _, size in holes)
    if info.size < 0 or stored < 0 or info.offset_data + stored > end:
        raise ValueError(f"the size of {info.name!r} is damaged")
    return Member(info.offset_data, info.size, holes)


_opening = threading.Lock()


def open_tar(shard: str) -> Tar:
    """A tar, opened; the 8 used last are kept open. Raises ConfigError as Tar does."""
    # Threads that load a bank reach a new tar at the same time: one indexes it, the others wait.
    with _opening:
        return _cached_tar(shard)


@functools.lru_cache(maxsize=8)
def _cached_tar(shard: str) -> Tar:
    return Tar(shard)
