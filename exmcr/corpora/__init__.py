"""Where raw items come from (stage `corpora`). A corpus lists its items in data/items.parquet.

items.py     the item table, and how the item of a row is loaded
made.py      hashes of the files that this stage makes
splits.py    train, val and test of the mini corpus
sampling.py  a fixed sample of any corpus
toy.py       a toy corpus made by code
mini/        data packages of Linux distributions, for offline runs
paper/       the corpora of the paper, from folders on this disk
folder.py    a user's own folder, captions from names, .txt files or metadata
imported.py  embeddings computed elsewhere, without raw items

`corpora:` in params.yaml names an entry of CORPORA.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.corpora import made

# name -> module:function, called as function(root, entries of `paper`) -> path of the item table
CORPORA = {
    "mini": "exmcr.corpora.mini.build:build",
    "mini+speech": "exmcr.corpora.mini.speech:build",
    "toy": "exmcr.corpora.toy:build",
    "paper": "exmcr.corpora.paper.build:build",
    "folder": "exmcr.corpora.folder:build",
    "imported": "exmcr.corpora.imported:build",
}
# These render their items. They are called with `sample`, too, and render what it keeps.
RENDERED = ("mini", "mini+speech")


def build(
    name: str,
    root: Path,
    sample: int | None = None,
    paper: list[dict[str, Any]] | None = None,
) -> Path:
    """Fetch (once), unpack and list a corpus under root/data. Returns the path of the item table.

    name    key of CORPORA
    sample  items kept per modality and split, a fixed sample; None keeps all
    paper   the lines of `paper` in params.yaml, for the corpus "paper"

    Files below data/media that have changed since the last build are made again.

    Raises ConfigError for an unknown name or missing data.
    """
    if name not in CORPORA:
        raise ConfigError(f"unknown corpus '{name}'; known: {', '.join(CORPORA)}")
    module, function = CORPORA[name].split(":")
    made.remove_damaged(root / "data")
    more = {"sample": sample} if name in RENDERED else {}
    path = getattr(import_module(module), function)(root, paper or [], **more)
    if sample is not None:
        _keep_sample(path, sample)
    made.record(pd.read_parquet(path), path.parent)
    return path


def _keep_sample(path: Path, sample: int) -> None:
    from exmcr.corpora import items, sampling

    table = items.write(sampling.draw(pd.read_parquet(path), sample), path)
    print(f"sample: {sample} keeps {len(table)} items")
    print(items.counts(table))
