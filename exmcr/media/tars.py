"""Members of uncompressed tars, read in place: `shard.tar::member` names one."""

import contextlib
import functools
import os
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from exmcr.common.errors import BadItem, ConfigError


@contextlib.contextmanager
def local_file(path: str) -> Iterator[Path]:
    """A path that can be opened: the file itself, or a temporary copy of a tar's member."""
    shard, _, member = path.partition("::")
    if not member:
        yield Path(path)
        return
    try:
        content = open_tar(shard).read(member)
    except (KeyError, OSError, ConfigError) as error:
        raise BadItem(f"cannot read {path}: {error}") from error
    with tempfile.NamedTemporaryFile(suffix=Path(member).suffix) as file:
        file.write(content)
        file.flush()
        try:
            yield Path(file.name)
        except BadItem as error:  # reasons stand in manifests, which are the same in every run
            reason = (
                str(error).replace(file.name, path).replace(Path(file.name).name, Path(member).name)
            )
            raise BadItem(reason) from error


class Tar:
    """An uncompressed tar, opened and indexed once, that several threads read.

    members: {name: (where its content begins, its length in bytes)}, in the order of the tar. Raises ConfigError when it is no such tar."""

    def __init__(self, path: str):
        try:
            self._file = open(path, "rb", buffering=0)
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                self.members = {
                    member.name: (member.offset_data, member.size)
                    for member in tar
                    if member.isfile()
                }
        except (tarfile.TarError, OSError) as error:
            raise ConfigError(f"{path} is not a readable tar: {error}") from error

    def read(self, member: str) -> bytes:
        """Raises KeyError for a member that is not there, OSError when the tar ends inside it."""
        offset, size = self.members[member]
        content = os.pread(
            self._file.fileno(), size, offset
        )  # unlike seek and read, nothing that threads share
        if len(content) < size:
            raise OSError(f"only {len(content)} of {size} bytes")
        return content

    def __del__(self):
        if hasattr(self, "_file"):
            self._file.close()


_opening = threading.Lock()


def open_tar(shard: str) -> Tar:
    """The tar, kept open as long as it is among the few last asked for."""
    with (
        _opening
    ):  # the threads that load a bank come to a new tar together: one indexes it, the others wait
        return _cached_tar(shard)


@functools.lru_cache(maxsize=8)
def _cached_tar(shard: str) -> Tar:
    return Tar(shard)
