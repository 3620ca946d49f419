"""Lists of corpora: text, JSON and CSV files, read strictly.

Every reader raises ConfigError that names the file and what is wrong in it: bytes that are not
UTF-8, a missing column, a row of another length. A byte order mark, which Excel and Notepad write,
is dropped.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from exmcr.common.errors import ConfigError


def text_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """The lines of a text file with their ends, one at a time: some files have millions."""
    number = 0
    try:
        with path.open("rb") as file:
            begin = file.read(2)
        if begin in (b"\xff\xfe", b"\xfe\xff"):
            encoding = "utf-16"
        elif encoding == "utf-8":
            encoding = "utf-8-sig"
        with path.open(encoding=encoding, newline="") as lines:
            for line in lines:
                number += 1
                yield line
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 somewhere after line {number}: save it as UTF-8"
        ) from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, without blanks around them."""
    return [stripped for line in text_lines(path) if (stripped := line.strip())]


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return json.loads("".join(text_lines(path)))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


def read_rows(path: Path, comment: str | None = None, **options: Any) -> Iterator[list[str]]:
    """Rows of a CSV file without a header, with blanks around values stripped.

    comment: begin of lines that are skipped; blank lines are skipped too. options: of csv.reader.
    """
    for _, values in _numbered(path, comment, **options):
        yield values


def read_table(
    path: Path, columns: Sequence[str], encoding: str = "utf-8", **types: Callable[[str], Any]
) -> Iterator[dict[str, Any]]:
    """Rows of a CSV file with a header, as {column: value}, with blanks around values stripped.

    columns   that must be there and have a value in every row
    encoding  for files that are not UTF-8 on purpose
    types     of columns that are not text, e.g. start_time=float

    Empty columns behind the header's, as a trailing comma makes them, are dropped.
    """
    rows = _numbered(path, encoding=encoding)
    try:
        header = next(rows)[1]
    except StopIteration:
        raise ConfigError(f"{path} is empty; it must have columns {', '.join(columns)}") from None
    if missing := [name for name in columns if name not in header]:
        raise ConfigError(
            f"{path} has no column {', '.join(missing)}; its columns are {', '.join(header)}"[:500]
        )
    for number, values in rows:
        if any(values[len(header) :]) or len(values) < 1 + max(map(header.index, columns)):
            raise ConfigError(
                f"{path}, line {number}: {len(values)} values for {len(header)} columns; "
                "is a value with a comma not quoted?"
            )
        entry: dict[str, Any] = dict(zip(header, values))
        for name, kind in types.items():
            try:
                entry[name] = kind(entry[name])
            except ValueError as error:
                raise ConfigError(
                    f"{path}, line {number}: {name} is {entry[name]!r}, not a number"[:500]
                ) from error
        yield entry


def _numbered(
    path: Path, comment: str | None = None, encoding: str = "utf-8", **options: Any
) -> Iterator[tuple[int, list[str]]]:
    """(line number, values) of each row of a CSV file."""
    lines = text_lines(path, encoding)
    if comment:
        lines = ("\n" if line.lstrip().startswith(comment) else line for line in lines)
    reader = csv.reader(lines, **options)
    try:
        for values in reader:
            values = [value.strip() for value in values]
            if any(values):
                yield reader.line_num, values
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: {error}") from error
