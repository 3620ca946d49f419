"""The table of items: one row per raw item, the only thing later steps know about a corpus.

id        stable and unique, "source/name"
modality  text | image | audio | points
caption   what it shows or sounds like, in words ("" when unknown); for a text, the text itself
captions  every caption, a list; the first is `caption`
concept   the noun it is an instance of; two items with the same concept are a right answer to each other
source    the package it came from
license   as the package states it
group     near-duplicates (same file, same title series) share one; a group never straddles splits
split     train | val | test
path      file, relative to the data folder or absolute, or `shard.tar::member`; "" for texts
start     seconds into the file (audio)
seconds   length of the window; 0 is to the end (audio)
of        id of the item this one shows or describes ("" if none): the icon of a 3D model, the frame or caption of a clip
"""

from pathlib import Path

import pandas as pd

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media.tars import local_file

COLUMNS = [
    "id",
    "modality",
    "caption",
    "captions",
    "concept",
    "source",
    "license",
    "group",
    "split",
    "path",
    "start",
    "seconds",
    "of",
]


def row(
    id: str,
    modality: str,
    captions: list[str],
    concept: str,
    source: str,
    license: str,
    group: str,
    **more,
) -> dict:
    """One row with every column; `more` fills path, start, seconds, of."""
    captions = [" ".join(c.split()) for c in captions if c and c.strip()]
    filled = dict(path="", start=0.0, seconds=0.0, of="", split="") | more
    return dict(
        id=id,
        modality=modality,
        caption=captions[0] if captions else "",
        captions=captions or [""],
        concept=concept,
        source=source,
        license=license,
        group=group,
        **filled,
    )


def write(rows: list[dict] | pd.DataFrame, path: Path) -> pd.DataFrame:
    """Check and store the table. Raises ValueError when ids repeat or a group straddles splits."""
    items = pd.DataFrame(rows)[COLUMNS]
    twice = items.id[items.id.duplicated()]
    if len(twice):
        raise ValueError(f"{len(twice)} item ids occur twice, e.g. {twice.iloc[0]}")
    straddling = items.groupby("group").split.nunique()
    if (straddling > 1).any():
        raise ValueError(
            f"groups straddle splits: {', '.join(straddling[straddling > 1].index[:5])}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    items.to_parquet(path, index=False)
    return items


def load_item(item, data: Path):
    """Bring the raw item of one row (a namedtuple or Series) into memory. Raises BadItem; types as in exmcr.media."""
    if item.modality == "text":
        return media.text.load(item.caption)
    with local_file(str(data / item.path)) as path:
        if not path.is_file():
            raise BadItem(f"file is missing: {item.path}")
        if item.modality == "audio":
            return media.sounds.load(path, item.start, item.seconds or None)
        return media.load(item.modality, path)
