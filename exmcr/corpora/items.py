"""The item table: one row per raw item. Later stages know nothing else about a corpus.

id        stable and unique, "source/name"
modality  a name in exmcr.media.MODALITIES
caption   what it shows or sounds like, in words ("" if unknown); for a text, the text itself
captions  every caption, a list; the first is `caption`
concept   the noun it is an instance of; items with the same concept are positives of each other
source    the package or corpus it came from
license   as the source states it
group     shared by near-duplicates (same file, same look, same title series); all of a group have
          one split
split     train | val | test
path      file, relative to the data folder or absolute, `shard.tar::member`, or
          `file.h5::dataset/row`; "" for texts
start     seconds into the file (audio)
seconds   length of the window; 0 extends it to the end of the file (audio)
of        id of the item that this one shows or describes ("" if none): an icon is `of` a shape,
          a frame or caption `of` a clip
labels    names of its classes, a list, if its corpus gives an item several (`concept` joins them);
          else empty
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.common.files import atomic_write
from exmcr.corpora import made
from exmcr.media import hdf5
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
    "labels",
]


def row(
    id: str,
    modality: str,
    captions: Sequence[str],
    concept: str,
    source: str,
    license: str,
    group: str,
    **more: Any,
) -> dict[str, Any]:
    """One row with every column. `more` sets split, path, start, seconds, of and labels."""
    captions = [" ".join(c.split()) for c in captions if c and c.strip()]
    rest = {"path": "", "start": 0.0, "seconds": 0.0, "of": "", "split": "", "labels": []} | more
    return {
        "id": id,
        "modality": modality,
        "caption": captions[0] if captions else "",
        "captions": captions or [""],
        "concept": concept,
        "source": source,
        "license": license,
        "group": group,
        **rest,
    }


def write(rows: list[dict[str, Any]] | pd.DataFrame, path: Path) -> pd.DataFrame:
    """Check the table and write it as Parquet. Returns it with its columns in order.

    Raises ValueError for a repeated id, or a group that is in several splits.
    """
    table = pd.DataFrame(rows)[COLUMNS]
    repeated = table.id[table.id.duplicated()]
    if len(repeated):
        raise ValueError(f"{len(repeated)} item ids occur twice, e.g. {repeated.iloc[0]}")
    splits = table.groupby("group").split.nunique()
    if (splits > 1).any():
        raise ValueError(f"groups straddle splits: {', '.join(splits[splits > 1].index[:5])}")
    with atomic_write(path) as draft:
        table.to_parquet(draft, index=False)
    made.record_table(path)
    return table


def counts(table: pd.DataFrame, by: Sequence[str] = ("modality",)) -> pd.DataFrame:
    """Number of items: one row per value of `by`, one column per split."""
    return table.groupby([*by, "split"]).size().unstack(fill_value=0)


def load_item(item: Any, data: Path) -> Any:
    """Load the raw item of one row, a namedtuple or Series. Types are those of exmcr.media.

    data: folder that relative paths start from. A text without a path is loaded from its caption.

    Raises BadItem if it cannot be used, ConfigError for an unknown modality, and for a file of
    data/media that has changed since the stage `corpora` made it.
    """
    if not item.path and item.modality != "text":
        raise BadItem(f"{item.id} has no file")
    if not item.path:
        return media.load(item.modality, item.caption)
    made.check(item.path, data)
    if hdf5.is_row(str(data / item.path)):
        return media.load(item.modality, hdf5.read_row(str(data / item.path)))
    window = {"start": item.start, "seconds": item.seconds}
    with local_file(str(data / item.path)) as path:
        if not path.is_file():
            raise BadItem(f"file is missing: {item.path}")
        return media.load(item.modality, path, **{k: v for k, v in window.items() if v})
