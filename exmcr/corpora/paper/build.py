"""`corpora: paper`: the item table of the paper's corpora, from folders on this disk.

The block `paper` of params.yaml lists the corpora. Training pools are unpaired: each line keeps one
modality. Held-out items keep their partners: the caption, frame or picture of an item names it in
`of`. No pool has an item of a held-out original: within a corpus, an item and what belongs to it; a
YouTube video across the corpora in YOUTUBE; a sound of Freesound in ESC-50 and Clotho, if Clotho's
metadata name it. The same picture or shape in two corpora (COCO and Flickr30k, ModelNet40 and the
ShapeNet part of OpenShape's records) is not recognized.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import stable_uniform
from exmcr.corpora import items
from exmcr.corpora.paper import CLASSIFIED, class_names, paper_corpora, prompts, scanobjectnn
from exmcr.corpora.paper.layout import LeftOut, Row
from exmcr.media import MODALITIES, hdf5, modality
from exmcr.media.tars import open_tar, shard_and_member

CHUNK = 100_000  # rows per data frame: millions of dicts would not fit into memory
# Corpora with clips of the same videos, which are named by their 11 characters.
YOUTUBE = ("audioset", "audiocaps", "ave", "vggss", "msrvtt")
NAMES = ("id", "group", "path", "concept")  # columns that hold names of files and folders

Entry = dict[str, Any]  # one line of the block `paper`


def build(root: Path, entries: list[Entry]) -> Path:
    """List corpora in root/data/items.parquet; returns its path. Files stay where they are.

    entries: the lines of the block `paper`, as dicts.

    Raises ConfigError that lists every missing folder, or says what is wrong inside one.
    """
    folders = [root / entry.get("folder", f"data/paper/{entry['corpus']}") for entry in entries]
    _check_folders(entries, folders)
    _check_variants(entries)
    held_out: dict[str, str] = {}  # original -> its split
    dropped: Counter[str] = Counter()
    parts: list[pd.DataFrame] = []
    # Training comes last, so that its pools can leave out what is held out.
    for split in ("test", "val", "train"):
        for entry, folder in zip(entries, folders, strict=True):
            if entry["as"] == split:
                parts += _part(entry, folder, root / "data", held_out, dropped)
    table = _in_reading_order(pd.concat(parts, ignore_index=True), root / "data")
    for name, n in dropped.items():
        print(f"{n} {name} left out: they are held out elsewhere")
    path = root / "data/items.parquet"
    try:
        table = items.write(table, path)
    except ValueError as error:
        raise ConfigError(f"the lines under `paper` in params.yaml overlap: {error}") from error
    print(items.counts(table, by=("source", "modality")))
    return path


def _check_folders(entries: list[Entry], folders: list[Path]) -> None:
    missing = sorted(
        {
            f"{entry['corpus']} in {folder}"
            for entry, folder in zip(entries, folders, strict=True)
            if not folder.is_dir()
        }
    )
    if missing or not entries:
        raise ConfigError(
            f"corpora: paper lacks {'; '.join(missing) or 'every corpus'}: put them there, "
            "set their `folder` under `paper` in params.yaml, or delete their lines"
        )


def _check_variants(entries: list[Entry]) -> None:
    """Raise ConfigError if ScanObjectNN is in several splits in different variants.

    They are made of the same scans, which cannot be recognized.
    """
    lines = [entry for entry in entries if entry["corpus"] == "scanobjectnn"]
    variants = {scanobjectnn.variant(entry["split"]) for entry in lines}
    if len(variants) > 1 and len({entry["as"] for entry in lines}) > 1:
        uses = ", ".join(f"{entry['split']} as {entry['as']}" for entry in lines)
        raise ConfigError(
            f"corpora: paper, scanobjectnn: {uses}: variants are made of the same scans, so that "
            "held-out scans would be in training; use one variant"
        )


def _in_reading_order(table: pd.DataFrame, data: Path) -> pd.DataFrame:
    """The table with items in tars last, tar by tar and by offset.

    Extraction then reads every tar once, from beginning to end.
    """
    candidates = table.path[table.path.str.contains("::", regex=False)]
    parts = {row: shard_and_member(str(data / path)) for row, path in candidates.items()}
    places: list[tuple[str, int, Any]] = []
    for row, (shard, member) in parts.items():
        if member and not shard.lower().endswith(hdf5.SUFFIXES):
            places.append((shard, open_tar(shard).members[member].begin, row))
    if not places:
        return table
    order = [row for _, _, row in sorted(places)]
    return pd.concat([table.drop(index=order), table.loc[order]], ignore_index=True)


def _part(
    entry: Entry, folder: Path, data: Path, held_out: dict[str, str], dropped: Counter[str]
) -> Iterator[pd.DataFrame]:
    """The item table of one line of the block, CHUNK rows at a time."""
    name, split = f"{entry['corpus']} {entry['split']}", entry["as"]
    left_out, count = LeftOut(name), 0
    try:
        groups: Iterable[list[Row]] = _groups(entry, folder, left_out)
        groups = _not_held_out(groups, name, split, held_out, dropped)
        rows = (row for group in groups for row in _as_items(group, split, data))
        chunks = iter(tqdm(rows, desc=f"listing {name}", unit="row"))
        while chunk := list(itertools.islice(chunks, CHUNK)):
            count += len(chunk)
            yield pd.DataFrame(chunk, columns=items.COLUMNS)
        left_out.warn()
        if count == 0:
            kind = f"of modality '{entry['keep']}' " if entry.get("keep") else ""
            raise ConfigError(f"no items {kind}in {folder} that are not held out elsewhere")
        if entry.get("prompts"):
            yield pd.DataFrame(_prompts(entry, folder), columns=items.COLUMNS)
    except ConfigError as error:
        raise ConfigError(f"corpora: paper, {name}: {error}") from error


def _groups(entry: Entry, folder: Path, left_out: LeftOut) -> Iterable[list[Row]]:
    """The rows of each original of a corpus, after `keep` and `most`."""
    keep = entry.get("keep")
    rows = paper_corpora(entry["corpus"], folder, entry["split"], texts_only=keep == "text")
    rows = _storable(rows, left_out)
    if keep:
        rows = (row for row in rows if row["modality"] == keep)
    groups = (list(group) for _, group in itertools.groupby(rows, key=lambda row: row["group"]))
    if "most" not in entry:
        return groups
    # A fixed random sample.
    return heapq.nsmallest(entry["most"], groups, key=lambda rows: stable_uniform(rows[0]["group"]))


def _storable(rows: Iterable[Row], left_out: LeftOut) -> Iterator[Row]:
    """The rows that a table can hold: those of files whose names are UTF-8."""
    for row in rows:
        row = row | {"caption": _with_replacements(row["caption"])}
        if any(_with_replacements(row[key] or "") != (row[key] or "") for key in NAMES):
            left_out.add("items whose name is not UTF-8: rename their files", row["id"])
        else:
            yield row


def _with_replacements(text: str) -> str:
    """Text with U+FFFD for surrogates without a partner, which UTF-8 cannot hold."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _not_held_out(
    groups: Iterable[list[Row]],
    name: str,
    split: str,
    held_out: dict[str, str],
    dropped: Counter[str],
) -> Iterator[list[Row]]:
    """The groups whose original has no other split. Adds those of val and test to `held_out`, and
    counts the rows of the others in `dropped`."""
    for rows in groups:
        original = _original(rows[0])
        if held_out.get(original, split) == split:
            if split != "train":
                held_out[original] = split
            yield rows
        else:
            dropped[f"{name} items"] += len(rows)


def _original(row: Row) -> str:
    """What several corpora can have parts of: the video or sound of a clip; otherwise the row's
    group."""
    if row["source"] in YOUTUBE:
        return "youtube/" + row["group"].split("/", 1)[1][:11]
    return row["original"] or row["group"]


def _as_items(group: list[Row], split: str, data: Path) -> Iterator[Row]:
    """Rows of the item table for one original.

    In a held-out original, the item of the modality that is registered last is the one that the
    others belong to: its shape, else its sound, else its picture.
    """
    main = max(group, key=_place)
    for row in group:
        path = row["path"] or ""
        yield items.row(
            row["id"],
            row["modality"],
            [row["caption"]],
            row["concept"],
            row["source"],
            row["license"],
            row["group"],
            path=path.removeprefix(f"{data}/"),
            start=row["start"],
            seconds=row["seconds"] or 0.0,
            split=split,
            of="" if row is main or split == "train" else main["id"],
            labels=row["labels"],
        )


def _place(row: Row) -> int:
    """Place of the modality of a row in the registry. Raises ConfigError if it is not there."""
    modality(row["modality"])
    return list(MODALITIES).index(row["modality"])


def _prompts(entry: Entry, folder: Path) -> Iterator[Row]:
    """The prompts of zero-shot classification, of every class of a corpus."""
    source, split = entry["corpus"], entry["as"]
    for concept in class_names(source, folder, entry["split"]):
        for k, sentence in enumerate(prompts.of_class(CLASSIFIED[source], concept)):
            id = f"{source}/prompt/{split}/{concept}/{k}"
            yield items.row(id, "text", [sentence], concept, source, "MIT", id, split=split)
