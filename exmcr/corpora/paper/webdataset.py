"""Tar shards as webdataset and img2dataset write them: files of one item share the name up to the first dot.

00000.tar: 000000012.jpg, 000000012.txt (caption), 000000012.json (else its "caption"); also sounds and clouds
"""

import json
import tarfile
from pathlib import Path
from typing import Iterator

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import PICTURE, SOUND, row

MODALITY = {
    **dict.fromkeys(PICTURE, "image"),
    **dict.fromkeys(SOUND, "audio"),
    **dict.fromkeys((".npy", ".npz", ".ply", ".pts"), "points"),
}


def rows(root: Path, split: str = "") -> Iterator[dict]:
    """Rows of all shards below root, in order of names; `split` is the part of the path to look in ("" is all of it)."""
    shards = sorted((root / split).rglob("*.tar")) if root.is_dir() else [root]
    if not shards:
        raise ConfigError(f"no .tar in {root / split}")
    for shard in shards:
        try:
            with tarfile.open(shard, "r:") as tar:
                yield from _shard(tar, shard, root.parent, split)
        except (tarfile.TarError, OSError) as error:
            raise ConfigError(f"{shard} is not a readable tar: {error}") from error


def _shard(tar: tarfile.TarFile, shard: Path, above: Path, split: str) -> Iterator[dict]:
    key, item, caption = None, [], ""
    for member in tar:
        folder, _, name = member.name.rpartition("/")
        stem, _, suffix = name.partition(".")
        if not member.isfile() or not stem:
            continue
        if (folder, stem) != key:
            yield from _rows(key, item, caption, shard, above, split)
            key, item, caption = (folder, stem), [], ""
        if modality := MODALITY.get(f".{suffix.lower()}"):
            item.append((modality, member.name))
        elif suffix == "txt":
            caption = tar.extractfile(member).read().decode("utf-8", "replace").strip()
        elif suffix == "json" and not caption:
            try:
                note = json.loads(tar.extractfile(member).read())
            except ValueError:
                continue
            caption = (
                str(note.get("caption") or note.get("text") or "").strip()
                if isinstance(note, dict)
                else ""
            )
    yield from _rows(key, item, caption, shard, above, split)


def _rows(key, item: list, caption: str, shard: Path, above: Path, split: str) -> Iterator[dict]:
    if key is None:
        return
    # Shards of several folders have the same names; items of different ones must not pass for one.
    group = "/".join(
        part for part in (shard.relative_to(above).with_suffix("").as_posix(), *key) if part
    )
    for modality, member in item:
        yield row(
            "webdataset",
            split,
            f"{group}/{modality}",
            modality,
            group=group,
            path=f"{shard}::{member}",
        )
    if caption:
        yield row("webdataset", split, f"{group}/text", "text", group=group, caption=caption)
