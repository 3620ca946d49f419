"""Objaverse as OpenShape publishes it: one record of 10,000 colored points per shape (see exmcr.points.read_record).

meta_data/split/lvis.json, train_all.json (or split/, or here): [{"uid" or "id", "group": "000-021", "category": ...}, ...]
Objaverse/000-021/<uid>.npy, unpacked, or Objaverse/000-021.tar; other datasets of the list lie in their own folder likewise
images/<uid>.jpg or .png (optional): a render or the thumbnail of a shape
"""

from pathlib import Path
from typing import Iterator

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import PICTURE, files_by_stem, need, present, read_json, row
from exmcr.media.tars import open_tar


def rows(root: Path, split: str = "lvis") -> Iterator[dict]:
    name = f"{split}.json"
    pictures = files_by_stem(root / "images", PICTURE) if (root / "images").is_dir() else {}
    entries = read_json(
        need(root / "meta_data" / "split" / name, root / "split" / name, root / name)
    )

    def pairs():
        for entry in sorted(entries, key=_tar_of):  # a tar is opened once
            uid, (dataset, group) = entry.get("uid") or entry["id"], _tar_of(entry)
            concept = entry.get("category", "").replace("_", " ")
            path = _find(root / dataset, group, uid)
            common = dict(concept=concept, license="ODC-BY; each shape its own")
            item = [row("objaverse", split, uid, "points", path=path, **common)]
            if uid in pictures:
                item.append(
                    row(
                        "objaverse",
                        split,
                        f"{uid}/image",
                        "image",
                        group=uid,
                        path=pictures[uid],
                        **common,
                    )
                )
            yield path, item

    return present(pairs(), f"objaverse {split}")


def _tar_of(entry: dict) -> tuple[str, str]:
    return entry.get("dataset", "Objaverse"), entry["group"]


def _find(folder: Path, group: str, uid: str) -> str | None:
    path, shard = folder / group / f"{uid}.npy", folder / f"{group}.tar"
    if path.is_file():
        return str(path)
    if shard.is_file():
        member = f"{group}/{uid}.npy"
        return f"{shard}::{member}" if member in open_tar(str(shard)).members else None
    if not path.parent.is_dir() and shard.with_suffix(".tar.gz").is_file():
        raise ConfigError(
            f"{shard}.gz is compressed, so that no item can be picked out of it: unpack it, or gunzip it to {shard}"
        )
    return None
