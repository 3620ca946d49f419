"""`corpora: imported`: the items of the banks that `exmcr import-bank` made, with no raw data.

An item is an id; the split is that of its bank. Items match if they have the same concept, which is
their caption unless the bank has a column `concept`. Only what has a caption can be evaluated.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.corpora import items

SOURCE, LICENSE = "imported", "unknown"


def build(root: Path, paper: Sequence[dict[str, Any]] = ()) -> Path:
    """List the items of all imported banks in root/data/items.parquet. Returns its path.

    The overlap is in two banks and listed once. `paper` is ignored. Raises ConfigError if there is
    no imported bank, if a bank cannot be read, or if one id names two items.
    """
    rows: dict[str, dict[str, Any]] = {}
    for folder in sorted(path.parent for path in (root / "banks").glob("*/*/*/manifest.json")):
        for row in _rows(folder):
            known = rows.setdefault(row["id"], row)
            if (known["modality"], known["split"]) != (row["modality"], row["split"]):
                raise ConfigError(
                    f"id '{row['id']}' is {known['modality']} of split {known['split']} in one "
                    f"bank and {row['modality']} of split {row['split']} in {folder}"
                )
            if not known["caption"]:
                rows[row["id"]] = row
    if not rows:
        raise ConfigError(
            f"corpora: imported needs banks in {root / 'banks'}; `exmcr import-bank` makes them"
        )
    path = root / "data/items.parquet"
    items.write(list(rows.values()), path)
    return path


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of the item table of one bank; none if it was not imported."""
    try:
        meta = json.loads((folder / "manifest.json").read_text())
        if "source" not in meta:
            return []
        table = pd.read_parquet(folder / "ids.parquet")
        ids = table.id.astype(str)
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"bank {folder} cannot be read: {error}") from error
    captions = table.get("caption", pd.Series("", ids.index)).fillna("").astype(str)
    concepts = table.get("concept", captions).fillna("").astype(str)
    modality, split = folder.parts[-2:]
    return [
        items.row(id, modality, [caption], concept, SOURCE, LICENSE, group=id, split=split)
        for id, caption, concept in zip(ids, captions, concepts, strict=True)
    ]
