"""Ids, captions and concepts of imported vectors, read from .txt, .csv and .parquet.

.txt      one per line, UTF-8 with or without a byte order mark
.csv      a header with the column; separated by commas, semicolons or tabs; empty cells at the end
          of a row are ignored, other cells beyond the header are an error
.parquet  the column, or an index of that name; text, whole numbers, categories, or floats that are
          whole numbers (a column of numbers in which one was missing once)

Ids are brought to Unicode form NFC, without blanks around them.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError

SUFFIXES = (".txt", ".csv", ".parquet")
WHOLE = re.compile(r"-?\d+\.0+")
INVISIBLE = "\ufeff\u200b\u2060"  # byte order mark, zero-width space, word joiner


def ids(path: str | Path, n: int) -> list[str]:
    """n ids, one per row of the vectors. Raises ConfigError for a file that cannot be read, for
    another number of rows, and for a row without an id."""
    return cleaned(column(path, "id", n), path)


def cleaned(names: Sequence[str], source: str | Path) -> list[str]:
    """Ids in NFC and without blanks around them. Raises ConfigError for an empty one."""
    names = [_clean(name) for name in names]
    if "" in names:
        raise ConfigError(f"{source}: row {names.index('')} has no id")
    return names


def captions(path: str | Path, n: int) -> list[str]:
    """n captions, one per row of the vectors; "" where there is none. Raises ConfigError as `ids`
    does."""
    return column(path, "caption", n)


def concepts(path: str | Path, n: int) -> list[str]:
    """n concepts, one per row of the vectors, in NFC and without blanks around them; "" where there
    is none. Raises ConfigError as `ids` does."""
    return [_clean(name) for name in column(path, "concept", n)]


def unique(names: Sequence[str], source: str | Path) -> list[str]:
    """`names`, if none is repeated. Raises ConfigError that names one and the source."""
    values = pd.Series(names, dtype=object)
    repeated = values[values.duplicated()]
    if len(repeated):
        raise ConfigError(f"{source}: {len(repeated)} repeated ids, e.g. {repeated.iloc[0]!r}")
    return list(names)


def column(path: str | Path, name: str, n: int) -> list[str]:
    """The n strings of a column in a list file."""
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise ConfigError(f"no file {path}")
    if suffix not in SUFFIXES:
        raise ConfigError(f"{name}s are read from .txt, .csv and .parquet, not from {path.name}")
    try:
        if suffix == ".parquet":
            values = _of_parquet(path, name)
        elif suffix == ".csv":
            values = _of_csv(path, name)
        else:
            # Not splitlines, which also splits at characters that texts contain, such as U+2028.
            values = _text(path).removesuffix("\n").split("\n")
    except (OSError, ValueError, csv.Error, MemoryError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} cannot be read: {reason}") from error
    if len(values) != n:
        raise ConfigError(f"{path} has {len(values)} rows for {n} vectors")
    return values


def _text(path: Path) -> str:
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ConfigError(f"{path} is UTF-16; save it as UTF-8")
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _of_csv(path: Path, name: str) -> list[str]:
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count) if any(c in first for c in ",;\t") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = [cell.strip() for cell in next(reader, [])]
    if not any(header):
        raise ConfigError(f"{path} cannot be read: it has no header")
    place = _place(path, header, name)
    values = []
    for cells in reader:
        if not cells:
            continue  # an empty line
        if any(cells[len(header) :]):
            raise ConfigError(
                f"{path}, line {reader.line_num}: {len(cells)} cells under {len(header)} names; "
                "cells that contain the separator need quotes"
            )
        if len(cells) <= place:
            raise ConfigError(f"{path}, line {reader.line_num}: there is no {name}")
        values.append(cells[place])
    if values and all(map(WHOLE.fullmatch, values)):  # written from a column of floats
        values = [value.partition(".")[0] for value in values]
    return values


def _place(path: Path, header: Sequence[str], name: str) -> int:
    """Number of the column of this name; a difference in case is accepted if it is unique."""
    if header.count(name) == 1:
        return header.index(name)
    lower = [str(cell).lower() for cell in header]
    if lower.count(name) == 1:
        return lower.index(name)
    columns = ", ".join(map(str, header))
    if lower.count(name):
        raise ConfigError(f"{path} has several columns '{name}': {columns}")
    raise ConfigError(f"{path} has no column '{name}', only {columns}")


def _of_parquet(path: Path, name: str) -> list[str]:
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # pyarrow has errors of its own
        raise ValueError(error) from error
    if name not in table.columns and name in table.index.names:
        table = table.reset_index()
    values = table.iloc[:, _place(path, [str(c) for c in table.columns], name)].tolist()
    return [_as_text(value) for value in values]


def _as_text(value: Any) -> str:
    """One cell as text; "" for a missing one."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if value is None or (np.isscalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _clean(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().strip(INVISIBLE).strip()
