"""Where raw items come from. A corpus is a function (root folder) -> the path of its table of items (Parquet).

The table is described in exmcr/corpora/table.py; `corpora:` in params.yaml names one of these."""

from importlib import import_module
from pathlib import Path

from exmcr.errors import ConfigError

CORPORA = {"mini": "exmcr.corpora.mini:build", "tiny": "exmcr.corpora.tiny:build", "paper": "exmcr.corpora.paper.build:build"}


def build(name: str, root: Path, sample: int | None = None) -> Path:
    """Fetch (once), unpack and list the corpus `name` under `root`/data; with `sample`, list a fixed draw of it (exmcr/corpora/draw.py).

    Raises ConfigError for an unknown name."""
    if name not in CORPORA:
        raise ConfigError(f"unknown corpora '{name}'; known: {', '.join(CORPORA)}")
    module, function = CORPORA[name].split(":")
    path = getattr(import_module(module), function)(root)
    if sample is not None:
        import pandas as pd

        from exmcr.corpora import draw, table

        items = table.write(draw.draw(pd.read_parquet(path), sample), path)
        print(f"sample: {sample} keeps {len(items)} items")
        print(items.groupby(["modality", "split"]).size().unstack(fill_value=0))
    return path
