"""Members of uncompressed tars, read in place. `shard.tar::member` is the path of a member."""

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
    """A path that can be opened: the file itself, or a temporary copy of a member of a tar.

    path: of a file, or `shard.tar::member`. Raises BadItem if a member cannot be read.
    """
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
        except BadItem as error:
            # Manifests record the reason, and must not depend on the name of the copy.
            reason = str(error).replace(file.name, path)
            reason = reason.replace(Path(file.name).name, Path(member).name)
            raise BadItem(reason) from error


class Tar:
    """An uncompressed tar, opened and indexed once. Several threads can read it.

    members: {name: (offset of its content, length in bytes)}, in the order of the tar.

    Raises ConfigError if the file is missing or not an uncompressed tar.
    """

    def __init__(self, path: str):
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by __del__)
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                self.members = {
                    member.name: (member.offset_data, member.size)
                    for member in tar
                    if member.isfile()
                }
        except (tarfile.TarError, OSError) as error:
            raise ConfigError(f"{path} is not a readable tar: {error}") from error

    def read(self, member: str) -> bytes:
        """The content of a member. Raises KeyError if there is none of this name, OSError if the
        tar ends inside it."""
        offset, size = self.members[member]
        # Unlike seek and read, pread has no state that threads would share.
        content = os.pread(self._file.fileno(), size, offset)
        if len(content) < size:
            raise OSError(f"only {len(content)} of {size} bytes")
        return content

    def __del__(self):
        if hasattr(self, "_file"):
            self._file.close()


_opening = threading.Lock()


def open_tar(shard: str) -> Tar:
    """A tar, opened; the 8 used last are kept open. Raises ConfigError as Tar does."""
    # Threads that load a bank reach a new tar at the same time: one indexes it, the others wait.
    with _opening:
        return _cached_tar(shard)


@functools.lru_cache(maxsize=8)
def _cached_tar(shard: str) -> Tar:
    return Tar(shard)
