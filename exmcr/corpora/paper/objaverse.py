"""Objaverse as published by OpenShape: one record of 10,000 colored points per shape.

meta_data/split/lvis.json, train_all.json (or split/, or here):
[{"uid" or "id", "group": "000-021", "category": ...}, ...]
Objaverse/000-021/<uid>.npy, or Objaverse/000-021.tar; other datasets of the list likewise, each in
its own folder
images/ (optional; files, or tars of files): <uid>.jpg or .png, the thumbnail of a shape, or
<uid>/*.png, its renders, at any depth [assumed]

Of several renders one is drawn, as in published tables: a shape of Objaverse-LVIS (split lvis, all
46,205) is paired with one of its twelve renders [third-party notes]. The draw depends on the uid
alone.
Source: https://github.com/Colin97/OpenShape_code
"""

import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from exmcr import media
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import stable_uniform
from exmcr.corpora.paper.layout import Row, files_of, laid_out, need, present, row
from exmcr.corpora.paper.lists import read_json
from exmcr.media.tars import open_tar

LICENSE = "ODC-BY; each shape its own"
RENDERS = 12  # of each shape, as published

log = logging.getLogger(__name__)


def rows(root: Path, split: str = "lvis") -> Iterator[Row]:
    """Shape rows, and image rows where there are images; splits are names of JSON files."""
    shapes = _shapes(root, split)
    pictures = _pictures(root / "images", {uid for _, _, uid, _ in shapes})

    def originals():
        # Sorted to open each tar once.
        for dataset, group, uid, category in sorted(shapes, key=lambda shape: shape[:2]):
            path = _find(root / dataset, group, uid)
            shared: Row = {"group": uid, "concept": _concept(category), "license": LICENSE}
            item = [row("objaverse", split, uid, "points", path=path, **shared)]
            if uid in pictures:
                about: Row = {"path": _drawn(uid, pictures[uid]), **shared}
                item.append(row("objaverse", split, f"{uid}/image", "image", **about))
            yield path, item

    return present(originals(), f"objaverse {split}")


def classes(root: Path, split: str = "lvis") -> list[str]:
    """The names of the classes of the listed shapes; empty if the list has none."""
    return sorted({_concept(category) for *_, category in _shapes(root, split)} - {""})


def _concept(category: str) -> str:
    return category.replace("_", " ")


def _shapes(root: Path, split: str) -> list[tuple[str, str, str, str]]:
    name = f"{split}.json"
    listed = need(root / "meta_data" / "split" / name, root / "split" / name, root / name)
    entries = read_json(listed)
    with laid_out(listed, "a list of shapes with `uid` (or `id`) and `group`"):
        return [_shape(entry) for entry in entries]


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


def _pictures(folder: Path, uids: set[str]) -> dict[str, list[str]]:
    """{uid: its pictures}: the files in a folder of this name, and a file of this name.

    Warns of shapes with several pictures, but other than RENDERS.
    """
    pictures, suffixes = defaultdict(list), media.modality("image").suffixes
    for parent, _, names in os.walk(folder):
        for name in names:
            for file, _ in files_of(Path(parent, name)):
                path = PurePosixPath(str(file).rpartition("::")[2])
                uid = path.parent.name if path.parent.name in uids else path.stem
                if uid in uids and path.suffix.lower() in suffixes:
                    pictures[uid].append(str(file))
    few = [uid for uid, files in pictures.items() if len(files) not in (1, RENDERS)]
    if few:
        what = f"{len(few)} shapes with other than {RENDERS} renders (e.g. {min(few)})"
        log.warning("%s: %s", folder, what)
    return pictures


def _drawn(uid: str, pictures: list[str]) -> str:
    """One picture of a shape, by a fixed draw among its pictures in the order of their names."""
    pictures = sorted(pictures, key=lambda path: (os.path.basename(path), path))
    return pictures[int(stable_uniform(f"render/{uid}") * len(pictures))]
