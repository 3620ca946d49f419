"""Loaded items in groups that fit into memory."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from exmcr.media import limits


def in_chunks(loaded: Iterable[Any], most: int) -> Iterator[list]:
    """Group items, while they are being loaded, into lists of at most `most` items.

    A list ends early when its items take limits.CHUNK bytes: a decoded photograph of 24 megapixels
    has 72 MB.
    """
    chunk: list = []
    size = 0
    for item in loaded:
        chunk.append(item)
        size += size_of(item)
        if len(chunk) >= most or size >= limits.CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def size_of(item: Any) -> int:
    """Bytes of a loaded item: an array, a tuple that holds arrays, or any other object."""
    if isinstance(item, np.ndarray):
        return item.nbytes
    if isinstance(item, tuple):
        return sum(map(size_of, item))
    return sys.getsizeof(item)
