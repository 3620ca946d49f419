"""Captions of the files of a folder, read as the folder builders of Hugging Face `datasets` do.

https://huggingface.co/docs/datasets/image_dataset: `metadata.csv`, `metadata.jsonl` or
`metadata.parquet` lie beside the files or above them and have a column `file_name`, a path relative
to their own folder.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.media.guard import one_line

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
CAPTIONS = ("caption", "captions", "text", "description", "title", "label")  # the first one counts


def read(path: Path) -> dict[str, dict[str, Any]]:
    """{path relative to the folder of the file: {"captions": list, "concept", "license", ...}}.

    Captions are strings or lists of strings. All other columns are kept as they are. Raises
    ConfigError for a file that cannot be read or has no column file_name.
    """
    try:
        rows = list(_READERS[path.suffix](path))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path} cannot be read: {one_line(str(error))}") from error
    found = {}
    for row in rows:
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{path} needs a column file_name in every row")
        given: Any = next((row[column] for column in CAPTIONS if row.get(column)), [])
        captions = given if isinstance(given, list) else [given]
        found[Path(name).as_posix()] = row | {"captions": [str(c) for c in captions if c]}
    return found


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    yield from table.to_dict("records")


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield row


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    for row in pd.read_parquet(path).to_dict("records"):
        yield {k: v.tolist() if hasattr(v, "tolist") else v for k, v in row.items()}


_READERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
