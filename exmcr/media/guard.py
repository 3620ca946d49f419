"""Every error of a decoder becomes a BadItem here, and nowhere else."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from exmcr.common.errors import BadItem, ConfigError
from exmcr.media import limits

MESSAGE = 300  # characters of a reason; decoders may quote whole files


@contextlib.contextmanager
def bad_items(kind: str) -> Iterator[None]:
    """Turn any exception of the block into a BadItem of one printable line.

    kind: of the item, for the message. A context manager, or the decorator of a loader. BadItem
    keeps its text, and ConfigError passes. On damaged input, a decoder may raise anything:
    MemoryError for a wrong size in the header, struct.error, RecursionError, ...
    """
    try:
        yield
    except ConfigError:
        raise
    except BadItem as error:
        if str(error) == one_line(str(error)):
            raise
        raise BadItem(one_line(str(error))) from error
    except MemoryError as error:
        raise BadItem(f"unreadable {kind}: it does not fit into memory") from error
    except Exception as error:
        text = str(error) or "no reason given"
        if not isinstance(error, OSError):
            text = f"{type(error).__name__}: {text}"
        raise BadItem(one_line(f"unreadable {kind}: {text}")) from error


def regular_file(path: str | os.PathLike, kind: str) -> Path:
    """The path, after a check that a non-empty file is there.

    Raises BadItem otherwise, also for folders, and for pipes and devices, which may never end.
    """
    path = Path(path)
    if not path.is_file():
        problem = "not a file" if path.exists() else "no file"
        raise BadItem(f"unreadable {kind}: {problem} {path}")
    if path.stat().st_size == 0:
        raise BadItem(f"unreadable {kind}: {path.name} is an empty file")
    return path


def check_bytes(size: int, what: str) -> None:
    """Raise BadItem if something that is read whole has more than limits.BYTES."""
    if size > limits.BYTES:
        raise BadItem(
            f"{what} has {size} bytes, more than {limits.BYTES}; "
            "raise exmcr.media.limits.BYTES to read it"
        )


def check_points(count: int) -> None:
    """Raise BadItem if a cloud or mesh has more than limits.POINTS of anything."""
    if count > limits.POINTS:
        raise BadItem(
            f"{count} points, more than {limits.POINTS}; thin them out, or raise "
            "exmcr.media.limits.POINTS"
        )


def check_pixels(width: int, height: int) -> None:
    """Raise BadItem if a picture has no pixel, more than limits.PIXELS, or is too narrow."""
    if min(width, height) < 1:
        raise BadItem(f"image of {width} x {height} pixels has no content")
    if width * height > limits.PIXELS:
        raise BadItem(
            f"image of {width} x {height} pixels has more than {limits.PIXELS}; "
            "raise exmcr.media.limits.PIXELS to read it"
        )
    if max(width, height) > limits.RATIO * min(width, height):
        raise BadItem(f"image of {width} x {height} pixels is narrower than 1 : {limits.RATIO}")


def one_line(text: str) -> str:
    """The text as one line, printable in UTF-8, of at most MESSAGE characters."""
    text = text.encode("utf-8", "backslashreplace").decode()
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MESSAGE else f"{text[: MESSAGE - 1]}…"
