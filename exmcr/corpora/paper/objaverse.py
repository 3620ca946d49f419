"""Objaverse as published by OpenShape: one record of 10,000 colored points per shape.

meta_data/split/lvis.json, train_all.json (or split/, or here):
[{"uid" or "id", "group": "000-021", "category": ...}, ...]
Objaverse/000-021/<uid>.npy, or Objaverse/000-021.tar; other datasets of the list likewise, each in
its own folder
images/<uid>.jpg or .png (optional): a render or the thumbnail of a shape
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import Row, files_by_stem, laid_out, need, present, row
from exmcr.corpora.paper.lists import read_json
from exmcr.media.tars import open_tar

LICENSE = "ODC-BY; each shape its own"


def rows(root: Path, split: str = "lvis") -> Iterator[Row]:
    """Shape rows, and image rows where there are images; splits are names of JSON files."""
    name = f"{split}.json"
    pictures = files_by_stem(root / "images", "image") if (root / "images").is_dir() else {}
    listed = need(root / "meta_data" / "split" / name, root / "split" / name, root / name)
    entries = read_json(listed)
    with laid_out(listed, "a list of shapes with `uid` (or `id`) and `group`"):
        shapes = [_shape(entry) for entry in entries]

    def originals():
        # Sorted to open each tar once.
        for dataset, group, uid, category in sorted(shapes, key=lambda shape: shape[:2]):
            path = _find(root / dataset, group, uid)
            concept = category.replace("_", " ")
            shared: Row = {"group": uid, "concept": concept, "license": LICENSE}
            item = [row("objaverse", split, uid, "points", path=path, **shared)]
            if picture := pictures.get(uid):
                item.append(
                    row("objaverse", split, f"{uid}/image", "image", path=picture, **shared)
                )
            yield path, item

    return present(originals(), f"objaverse {split}")


def _shape(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    """(dataset, group, uid, category) of an entry of the list."""
    uid = entry.get("uid") or entry["id"]
    values = entry.get("dataset", "Objaverse"), entry["group"], uid, entry.get("category") or ""
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"an entry with values that are no texts: {values}")
    return values


def _find(folder: Path, group: str, uid: str) -> str | None:
    """Path of the record of a shape; None if it is missing."""
    path, shard = folder / group / f"{uid}.npy", folder / f"{group}.tar"
    if path.is_file():
        return str(path)
    if shard.is_file():
        member = f"{group}/{uid}.npy"
        return f"{shard}::{member}" if member in open_tar(str(shard)).members else None
    if not path.parent.is_dir() and shard.with_suffix(".tar.gz").is_file():
        raise ConfigError(
            f"{shard}.gz is compressed, so single items cannot be read from it: "
            f"unpack it, or gunzip it to {shard}"
        )
    return None
