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

    The overlap is in two banks and listed once, with the caption and the concept of either. `paper`
    is ignored. Raises ConfigError if there is no imported bank, if a bank cannot be read, or if one
    id names two items.
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
            for key in ("caption", "captions", "concept"):
                if known[key] in ("", [""], None):
                    known[key] = row[key]
    if not rows:
        raise ConfigError(
            f"corpora: imported needs banks in {root / 'banks'}; `exmcr import-bank` makes them"
        )
    for row in rows.values():
        row["concept"] = row["caption"] if row["concept"] is None else row["concept"]
    path = root / "data/items.parquet"
    items.write(list(rows.values()), path)
    return path


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of the item table of one bank, their concept None if it has no concepts; no row if it
    was not imported."""
    try:
        meta = json.loads((folder / "manifest.json").read_text())
        if "source" not in meta:
            return []
        table = pd.read_parquet(folder / "ids.parquet")
        ids = table.id.astype(str)
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"bank {folder} cannot be read: {error}") from error
    captions = table.get("caption", pd.Series("", ids.index)).fillna("").astype(str)
    concepts = [None] * len(table)
    if "concept" in table:
        concepts = table.concept.fillna("").astype(str).tolist()
    modality, split = folder.parts[-2:]
    return [
        items.row(id, modality, [caption], "", SOURCE, LICENSE, group=id, split=split)
        | {"concept": concept}
        for id, caption, concept in zip(ids, captions, concepts, strict=True)
    ]
