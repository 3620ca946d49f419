"""Where raw items come from (stage `corpora`). A corpus lists its items in data/items.parquet.

items.py     the item table, and how one of its rows is loaded
splits.py    which items are train, val or test
sampling.py  a fixed sample of any corpus
toy.py       a toy corpus made by code
mini/        data packages of Linux distributions, for offline runs
paper/       the corpora of the paper, from folders on this disk

`corpora:` in params.yaml names an entry of CORPORA.
"""

from importlib import import_module
from pathlib import Path

from exmcr.common.errors import ConfigError

# name -> module:function, called as function(root, entries of `paper`) -> path of the item table
CORPORA = {
    "mini": "exmcr.corpora.mini.build:build",
    "toy": "exmcr.corpora.toy:build",
    "paper": "exmcr.corpora.paper.build:build",
}


def build(
    name: str, root: Path, sample: int | None = None, paper: list[dict] | None = None
) -> Path:
    """Fetch (once), unpack and list a corpus under root/data. Returns the path of the item table.

    sample  keep at most so many items per modality and split, a fixed sample; None keeps all
    paper   the lines of `paper` in params.yaml, for `corpora: paper`

    Raises ConfigError for an unknown name or missing data.
    """
    if name not in CORPORA:
        raise ConfigError(f"unknown corpus '{name}'; known: {', '.join(CORPORA)}")
    module, function = CORPORA[name].split(":")
    path = getattr(import_module(module), function)(root, paper or [])
    if sample is not None:
        import pandas as pd

        from exmcr.corpora import items, sampling

        table = items.write(sampling.draw(pd.read_parquet(path), sample), path)
        print(f"sample: {sample} keeps {len(table)} items")
        print(table.groupby(["modality", "split"]).size().unstack(fill_value=0))
    return path
