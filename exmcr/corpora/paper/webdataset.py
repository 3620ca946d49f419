"""Tar shards as webdataset and img2dataset write them.

The files of one item have the same name up to the first dot, such as 000000012.jpg with a caption
in 000000012.txt or in the field "caption" of 000000012.json. Suffixes of other modalities:
exmcr.media.MODALITIES.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from exmcr import media
from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import Row, row


def rows(root: Path, split: str = "") -> Iterator[Row]:
    """Rows of all shards below root, in order of their names.

    root: a folder, or one shard; split: folder below root to read, "" reads all.
    """
    shards = sorted((root / split).rglob("*.tar")) if root.is_dir() else [root]
    if not shards:
        raise ConfigError(f"no .tar in {root / split}")
    for shard in shards:
        try:
            with tarfile.open(shard, "r:") as tar:
                yield from _shard(tar, shard, root.parent, split)
        except (tarfile.TarError, OSError) as error:
            raise ConfigError(f"{shard} is not a readable tar: {error}") from error


def _shard(tar: tarfile.TarFile, shard: Path, above: Path, split: str) -> Iterator[Row]:
    modalities = {
        suffix: name for name, entry in media.MODALITIES.items() for suffix in entry.suffixes
    }
    # The folders keep shards of the same name apart.
    name = shard.relative_to(above).with_suffix("").as_posix()
    for key, members in _originals(tar):
        group = "/".join(part for part in (name, *key) if part)
        caption = ""
        for suffix, member in members:
            if modality := modalities.get(suffix.lower()):
                path = f"{shard}::{member.name}"
                id = f"{group}/{modality}"
                yield row("webdataset", split, id, modality, group=group, path=path)
            elif suffix == ".txt" or (suffix == ".json" and not caption):
                caption = _caption(suffix, _read(tar, member))
        if caption:
            yield row("webdataset", split, f"{group}/text", "text", group=group, caption=caption)


def _originals(
    tar: tarfile.TarFile,
) -> Iterator[tuple[tuple[str, str], list[tuple[str, tarfile.TarInfo]]]]:
    """Yield ((folder, name up to the first dot), (suffix, member) of each file) of every item."""
    key, members = None, []
    for member in tar:
        folder, _, name = member.name.rpartition("/")
        stem, _, suffix = name.partition(".")
        if not member.isfile() or not stem:
            continue
        if key is not None and key != (folder, stem):
            yield key, members
            members = []
        key = folder, stem
        members.append((f".{suffix}", member))
    if key is not None:
        yield key, members


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def _caption(suffix: str, content: bytes) -> str:
    """The caption in a .txt or .json file; "" if there is none."""
    if suffix == ".txt":
        return content.decode("utf-8", "replace").strip()
    try:
        note = json.loads(content)
    except ValueError:
        return ""
    if not isinstance(note, dict):
        return ""
    return str(note.get("caption") or note.get("text") or "").strip()
