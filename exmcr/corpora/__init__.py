"""Where raw items come from. A corpus is a function (root folder) -> the path of its table of items (Parquet).

The table is described in exmcr/corpora/table.py; `corpora:` in params.yaml names one of these."""

from importlib import import_module
from pathlib import Path

from exmcr.errors import ConfigError

CORPORA = {"mini": "exmcr.corpora.mini:build", "tiny": "exmcr.corpora.tiny:build", "paper": "exmcr.corpora.paper.build:build"}


def build(name: str, root: Path) -> Path:
    """Fetch (once), unpack and list the corpus `name` under `root`/data. Raises ConfigError for an unknown name."""
    if name not in CORPORA:
        raise ConfigError(f"unknown corpora '{name}'; known: {', '.join(CORPORA)}")
    module, function = CORPORA[name].split(":")
    return getattr(import_module(module), function)(root)
