"""`corpora: mini+speech`: the mini corpus, and the captions of Tux Paint's stamps read aloud.

Volunteers read the captions in many languages (package tuxpaint-stamps-default, GPL-2). A recording
has the English caption, the concept and, in TRAINED languages, the split of the picture that it
describes. Recordings in HELD_OUT languages are in val or test only. They say words that other
languages trained, or words that no language trained:

| words \\ language      | trained | held out   |
|------------------------|---------|------------|
| of training pictures   | train   | val, test  |
| of val (test) pictures | as word | val (test) |
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from exmcr.common.hashing import sha256
from exmcr.corpora import items
from exmcr.corpora.mini import build as mini
from exmcr.corpora.mini import contents, tuxpaint

SOURCE, LICENSE = "tuxpaint-speech", "GPL-2"
TRAINED = ("bg", "da", "en", "es", "fr", "nl", "ro", "ru")
HELD_OUT = {"be": "val", "ca": "test", "el": "test"}  # Belarusian; Catalan and Greek
FIRST = ("test", "val", "train")  # which of several identical recordings is kept


def build(root: Path, paper: Sequence[dict[str, Any]] = (), sample: int | None = None) -> Path:
    """Build the mini corpus and add the recordings. Returns the path of the item table.

    Recordings are read where their package was unpacked. With `sample`, they are all recordings of
    the pictures in that sample of the mini corpus. Raises as exmcr.corpora.mini.build.
    """
    path = mini.build(root, paper, sample)
    table = pd.read_parquet(path)
    folder = contents.fetch("tuxpaint-stamps-default", root / "data/raw")
    spoken = rows(table, folder / "usr/share/tuxpaint/stamps", root / "data")
    print(f"{len(spoken)} spoken captions")
    added = pd.DataFrame(spoken + nouns(table, spoken))
    items.write(pd.concat([table, added], ignore_index=True), path)
    return path


def rows(table: pd.DataFrame, stamps: Path, data: Path) -> list[dict[str, Any]]:
    """One row per recording of a stamp that the item table has, each recording once.

    table: item table with the stamps' pictures. stamps: folder of the package. data: folder that
    paths in the table start from.
    """
    pictures = table[(table.source == tuxpaint.SOURCE) & (table.modality == "image")]
    found = [
        _row(picture, language, path.relative_to(data).as_posix(), split)
        | {"content": sha256(path)}
        for picture in pictures.itertuples()
        for language, path in _recordings(stamps, picture.id.removeprefix(f"{tuxpaint.SOURCE}/"))
        if (split := split_of(language, picture.split))
    ]
    distinct: dict[str, dict[str, Any]] = {}
    for row in sorted(found, key=lambda row: (FIRST.index(row["split"]), row["id"])):
        distinct.setdefault(row.pop("content"), row)
    return sorted(distinct.values(), key=lambda row: row["id"])


def nouns(table: pd.DataFrame, spoken: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The concepts of recordings as texts of their split, which speech is matched to, unless the
    table has them."""
    texts = table[table.modality == "text"]
    known = set(zip(texts.split, texts.caption, strict=True))
    rows = []
    for split, concept in sorted({(row["split"], row["concept"]) for row in spoken} - known):
        if concept:
            name = f"{SOURCE}/noun/{split}/{concept}"
            rows.append(
                items.row(name, "text", [concept], concept, SOURCE, LICENSE, name, split=split)
            )
    return rows


def split_of(language: str, picture: str) -> str:
    """Split of a recording, by its language and the split of the picture; "" if it is not used."""
    if language in TRAINED:
        return picture
    own = HELD_OUT.get(language, "")
    return own if picture in ("train", own) else ""


def language_of(id: str) -> str:
    """The language (ISO 639-1) in the id of a recording."""
    return id.split("/")[1]


def _recordings(stamps: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Yield (language, file) of the recordings of a stamp."""
    english = stamps / f"{name}_desc.ogg"
    if english.is_file():
        yield "en", english
    for language in (*TRAINED, *HELD_OUT):
        path = stamps / f"{name}_desc_{language}.ogg"
        if path.is_file():
            yield language, path


def _row(picture: Any, language: str, path: str, split: str) -> dict[str, Any]:
    name = picture.id.removeprefix(f"{tuxpaint.SOURCE}/")
    return items.row(
        f"{SOURCE}/{language}/{name}",
        "speech",
        [picture.caption],
        picture.concept,
        SOURCE,
        LICENSE,
        f"{SOURCE}:{split}:{picture.group}",
        split=split,
        path=path,
    )
