"""`corpora: folder`: pictures, sounds, shapes and captions of a user's own folder, without code.

The suffix of a file decides on its modality. Its caption is, in this order,

1. that of its row in a metadata.csv, .jsonl or .parquet (folder_metadata.py),
2. the content of the .txt file beside it with the same name,
3. its name in words: `red_car-01.png` is "red car 01"; a name without letters gives way to that of
   its folder.

Any other .txt file holds texts of its own, one a line. Hidden files and linked folders are left
out.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import stable_uniform
from exmcr.common.names import SPLITS
from exmcr.corpora import folder_metadata, items
from exmcr.media import limits
from exmcr.media.suffixes import by_suffix, modality_of

PLACE = "data/folder"  # of a project with `corpora: folder`; it may be a link
SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
SHARES = {"test": 0.1, "val": 0.2}  # of the items without a split: up to 0.1, up to 0.2, the rest
INDEX_NOTE = "exmcr-index.json"  # a folder with it is an index (exmcr/index), and left out
SOURCE, LICENSE = "folder", "unknown"


@dataclass
class Listing:
    """What a folder holds.

    rows     rows of the item table (items.py); `path` is relative to the folder
    skipped  [(path, reason)] of files of a known kind that cannot be listed
    others   {suffix: number} of files of other kinds, which are left out
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def scan(folder: str | Path) -> Listing:
    """List the items of a folder and of the folders below it, in the order of their paths.

    Nothing is decoded. Raises ConfigError if there is no such folder, no item in it, or a metadata
    file that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder")
    listing, paths = Listing(), list(_files(folder))
    notes = _notes(folder, paths, listing)
    media_stems = {str(PurePosixPath(p).with_suffix("")) for p in paths if modality_of(p)}
    for path in paths:
        if not _is_utf8(path):
            listing.skipped.append((ascii(path), "its name is not UTF-8"))
        elif modality := modality_of(path):
            listing.rows.append(_medium(folder, path, modality, notes.pop(path, {}), listing))
        elif path.lower().endswith(".txt"):
            if path[:-4] not in media_stems:
                listing.rows += _texts(folder, path, listing)
        elif PurePosixPath(path).name not in folder_metadata.NAMES:
            listing.others[PurePosixPath(path).suffix.lower() or "no suffix"] += 1
    listing.skipped += [(path, "listed in metadata, but there is no such file") for path in notes]
    if not listing.rows:
        kinds = ", ".join(sorted({*by_suffix(), ".txt"}))
        raise ConfigError(f"{folder} holds nothing that can be read; known kinds: {kinds}")
    return listing


def build(root: Path, paper: Sequence[dict[str, Any]] = ()) -> Path:
    """List the folder data/folder of a project in root/data/items.parquet. Returns its path.

    Items below a folder named train, val (or validation) or test have that split, as those with a
    `split` in their metadata; all others are drawn by the hash of their caption, 10 % test and 10 %
    val. The caption of a medium is a text item as well, so that there is an overlap to train on.
    `paper` is ignored. Raises ConfigError as `scan`.
    """
    folder = root / PLACE
    if not folder.is_dir():
        raise ConfigError(f"corpora: folder needs your files, or a link to them, at {folder}")
    listing, rows = scan(folder), []
    for row in listing.rows:
        row["split"] = row["split"] or _drawn(row["concept"])
        row["group"] = f"{row['split']}/{row['concept']}"
        rows.append(row)
        if row["path"]:
            row["path"] = f"{Path(PLACE).name}/{row['path']}"
            rows.append(_caption_of(row))
    for path, reason in listing.skipped:
        print(f"left out: {path}: {reason}")
    items.write(rows, root / "data/items.parquet")
    return root / "data/items.parquet"


def _caption_of(row: dict[str, Any]) -> dict[str, Any]:
    """The caption of a medium as a text item."""
    more = {"split": row["split"], "of": row["id"]}
    shared = (row["concept"], row["source"], row["license"], row["group"])
    return items.row(f"{row['id']}/text", "text", row["captions"], *shared, **more)


def words(path: str) -> str:
    """The name of a file in words, or that of its folder if it has no letters."""
    pure = PurePosixPath(path)
    for name in (pure.stem, pure.parent.name):
        text = " ".join(re.sub(r"[_\-.+]+", " ", name).split())
        if any(c.isalpha() for c in text):
            return text
    return pure.stem


def _files(folder: Path) -> Iterator[str]:
    """Paths relative to the folder, sorted, without hidden ones."""
    found = []
    for place, folders, names in os.walk(folder):
        if INDEX_NOTE in names:
            folders[:] = []
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(folder)
        found += [(inside / name).as_posix() for name in names if not name.startswith(".")]
    return iter(sorted(found))


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 are surrogates in Python
        return False
    return True


def _notes(folder: Path, paths: list[str], listing: Listing) -> dict[str, dict[str, Any]]:
    """{path of a file: its row in the metadata}; of several, the one nearest to the file counts."""
    notes: dict[str, dict[str, Any]] = {}
    own = [path for path in paths if PurePosixPath(path).name in folder_metadata.NAMES]
    for path in sorted(own, key=lambda path: path.count("/")):
        inside = PurePosixPath(path).parent
        for name, row in folder_metadata.read(folder / path).items():
            target = os.path.normpath(inside / name)
            if target.startswith((".." + os.sep, os.sep)):
                listing.skipped.append((name, f"{path} names a file outside the folder"))
            else:
                notes[target] = row
    return notes


def _medium(
    folder: Path, path: str, modality: str, note: dict[str, Any], listing: Listing
) -> dict[str, Any]:
    captions = note.get("captions") or _sidecar(folder / path, listing) or [words(path)]
    concept = note.get("concept") or note.get("label") or captions[0]
    return items.row(
        path,
        modality,
        captions,
        str(concept),
        str(note.get("source") or SOURCE),
        str(note.get("license") or LICENSE),
        path,
        path=path,
        split=_split(path, note),
    )


def _sidecar(path: Path, listing: Listing) -> list[str]:
    beside = path.with_suffix(".txt")
    return _lines(beside, listing) if beside.is_file() else []


def _texts(folder: Path, path: str, listing: Listing) -> list[dict[str, Any]]:
    return [
        items.row(f"{path}:{n}", "text", [line], line, SOURCE, LICENSE, path, split=_split(path))
        for n, line in enumerate(_lines(folder / path, listing), 1)
    ]


def _lines(path: Path, listing: Listing) -> list[str]:
    """The texts of a file, one a line, without blank ones."""
    try:
        if path.stat().st_size > limits.BYTES:
            raise ValueError(f"it has more than {limits.BYTES} bytes")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        listing.skipped.append((path.name, f"cannot be read as UTF-8 text: {error}"))
        return []
    return [line.strip() for line in lines if line.strip()]


def _split(path: str, note: dict[str, Any] | None = None) -> str:
    """train, val or test as the metadata or a folder of the path says, else ""."""
    names = [str((note or {}).get("split", "")), *PurePosixPath(path).parts[:-1]]
    return next((SPLIT_FOLDERS[n.lower()] for n in names if n.lower() in SPLIT_FOLDERS), "")


def _drawn(concept: str) -> str:
    at = stable_uniform(concept)
    return next((split for split, end in SHARES.items() if at < end), SPLITS[0])
