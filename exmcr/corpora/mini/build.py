"""`corpora: mini`: the item table of all sources, and one file per item."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_json
from exmcr.corpora import items, splits
from exmcr.corpora.mini import (
    contents,
    effects,
    emoji,
    furniture,
    gcompris,
    near_duplicates,
    openclipart,
    opensfx,
    packages,
    render,
    scratch,
    shapes,
    soundfonts,
    tuxpaint,
    wesnoth,
    wordnet,
    workers,
)

BAD_SHARE = 0.05  # a larger share of unusable items means a broken download, not a few odd files
SUFFIX = {"image": ".png", "audio": ".wav", "points": ".npy"}

Row = dict[str, Any]


def build(root: Path, paper: Sequence[dict[str, Any]] = ()) -> Path:
    """Fetch, unpack and render everything once. Returns the path of the item table.

    Writes files under data/media, data/items.parquet and data/skipped.json. Rendered files are
    kept, so an interrupted run continues where it stopped. `paper` is ignored; all corpora are
    built with the same arguments.

    Raises ConfigError if a package is not available, an item ends the process that renders it, or
    more than 5 % of the items are unusable.
    """
    data = root / "data"
    planned = tqdm(_plan(data / "raw"), desc="listing items", unit="item", smoothing=0)
    tasks = [(item | {"path": _path(item)}, job) for item, job in planned]
    names = [item["id"] for item, _ in tasks]
    results = workers.run([(job, data / item["path"]) for item, job in tasks], names)
    rows, digests, skipped = [], {}, []
    for (item, _), (digest, reason) in zip(tasks, results, strict=True):
        if reason:
            skipped.append({"id": item["id"], "reason": reason})
        else:
            rows.append(item)
            digests[item["id"]] = digest
    write_json(data / "skipped.json", skipped)
    print(f"{len(rows)} items, {len(skipped)} unusable (listed in data/skipped.json)")
    if len(skipped) > BAD_SHARE * len(tasks):
        raise ConfigError(
            f"{len(skipped)} of {len(tasks)} items are unusable, more than {BAD_SHARE:.0%}; "
            "see data/skipped.json"
        )
    path = data / "items.parquet"
    print(items.counts(table(rows, digests, path, wordnet.texts(data / "raw"))))
    return path


def table(
    rows: list[Row], digests: dict[str, str], path: Path, words: Sequence[str] = ()
) -> pd.DataFrame:
    """Drop duplicates, divide into splits, add texts, and write the item table.

    Near-duplicate pictures share a split; val and test keep one of them. Those left out are listed
    in near_duplicates.json beside the table.

    rows: of every usable item, changed in place; digests: {item id: SHA-256 of its file};
    words: unpaired training texts.
    """
    rows = _without_duplicate_sounds(rows, digests)
    splits.merge_duplicates(rows, digests)
    cluster = near_duplicates.clusters(rows, path.parent)
    splits.merge_duplicates(rows, cluster)
    splits.assign(rows)
    rows, left_out = near_duplicates.held_out_once(splits.without_surplus(rows), cluster)
    write_json(path.parent / "near_duplicates.json", left_out)
    print(f"{len(left_out)} near-duplicates left out of val and test (near_duplicates.json)")
    return items.write(rows + _texts(rows, words), path)


def _path(item: Row) -> str:
    return f"media/{item['id']}{SUFFIX[item['modality']]}"


def _plan(raw: Path) -> Iterator[tuple[Row, render.Job]]:
    """Yield the row of every item and the job that makes its file."""
    packages.download(raw)
    contents.unpack(raw)
    kind = {"image": "picture", "audio": "sound"}
    for item, path in [
        *openclipart.items(raw),
        *tuxpaint.items(raw),
        *scratch.items(raw),
        *effects.items(raw),
        *wesnoth.items(raw),
    ]:
        yield item, (kind[item["modality"]], path, path.suffix)
    for item, svg in emoji.items(raw):
        yield item, ("picture", svg, ".svg")
    for item, content in opensfx.items(raw):
        yield item, ("sound", content, ".wav")
    for item, content, suffix in gcompris.items(raw):
        yield item, (kind[item["modality"]], content, suffix)
    for item, note in soundfonts.items(raw):
        yield item, ("note", *note)
    for item, mesh in shapes.items(raw):
        yield item, ("shape", mesh)
    seen = set()
    for shape, model, icon, picture in furniture.items(raw):
        if shape["id"] not in seen:
            seen.add(shape["id"])
            yield shape, ("furniture", *model)
            yield icon, ("icon", *picture)


def _without_duplicate_sounds(rows: list[Row], digests: dict[str, str]) -> list[Row]:
    """The rows without sounds whose file is that of an earlier row: some packages have one
    recording under several names ("ram", "mountain goat")."""
    first: dict[str, str] = {}
    return [
        row
        for row in rows
        if row["modality"] != "audio"
        or first.setdefault(digests[row["id"]], row["id"]) == row["id"]
    ]


def _texts(rows: list[Row], words: Sequence[str]) -> list[Row]:
    """One text per split and distinct caption. The names of ImageNet's classes and `words` are
    unpaired training texts."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    names = [info.index_to_description(i).split(",")[0] for i in range(1000)]
    captions = [
        (item["split"], caption, item["concept"], item["source"])
        for item in rows
        for caption in item["captions"]
    ]
    # Sounds are matched to their noun alone.
    captions += [
        (item["split"], item["concept"], item["concept"], item["source"])
        for item in rows
        if item["modality"] == "audio"
    ]
    captions += [("train", name, "", "imagenet-names") for name in names]
    captions += [("train", word, "", wordnet.SOURCE) for word in words]
    texts: dict[tuple[str, str], Row] = {}
    for split, caption, concept, source in captions:
        if caption and (split, caption) not in texts:
            digest = hashlib.sha256(caption.encode()).hexdigest()[:12]
            id, group = f"text/{split}/{digest}", f"text:{split}:{digest}"
            texts[split, caption] = items.row(
                id, "text", [caption], concept, source, "as its source", group, split=split
            )
    return list(texts.values())
