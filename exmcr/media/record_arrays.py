"""What the pickle of an OpenShape record may build: arrays, numbers and bytes (records.py)."""

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem

# Booleans, integers, floats, bytes and strings; no objects, structures, dates or complex numbers.
DTYPE = re.compile(r"[biufSU]\d{1,6}")
OBJECTS = re.compile(r"O[48]?")


class Pending:
    """An array or dtype before the opcode BUILD gives it its state.

    spec: of a dtype, such as "f2"; None for an array. keys: its places in the memo.
    """

    def __init__(self, spec: str | None = None):
        self.spec = spec
        self.keys: list[int] = []


class Objects(list):
    """The elements of an array of objects; a record is the only element of one."""


def pairs(values: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Keys and values in turn. Other keys are refused: to hash a nested tuple can overflow."""
    for key, value in zip(values[::2], values[1::2], strict=True):
        if type(key) not in (str, int, bytes):
            raise BadItem(f"refused: a dict with keys of type {type(key).__name__}")
        yield key, value


def _new_array(*_: Any) -> Pending:
    return Pending()


def _new_dtype(spec: Any, *_: Any) -> Pending:
    if not isinstance(spec, str) or not (DTYPE.fullmatch(spec) or OBJECTS.fullmatch(spec)):
        raise BadItem(f"refused: an array of dtype {spec!r}"[:100])
    return Pending(spec)


def dtype_of(spec: str, state: tuple) -> Any:
    """The dtype of a specification such as "f2" with its byte order; Objects for objects.

    The state of a dtype holds flags through which objects could be made of raw bytes. It must be
    the state that numpy itself writes.
    """
    if OBJECTS.fullmatch(spec):
        return Objects
    order: Any = state[1] if len(state) > 1 else None
    if order not in ("<", ">", "=", "|"):
        raise BadItem("refused: a dtype without a byte order")
    dtype = np.dtype(spec).newbyteorder(order)
    if state != dtype.__reduce__()[2] or [*map(type, state)] != [*map(type, dtype.__reduce__()[2])]:
        raise BadItem(f"refused: a dtype '{spec}' of another state than numpy gives it")
    return dtype


def array(state: tuple) -> Any:
    """The array of the state (version, shape, dtype, columns first, bytes)."""
    if len(state) != 5:
        raise BadItem("not a readable pickle: an array needs five entries")
    _, shape, dtype, columns_first, content = state
    if dtype is Objects:
        if shape != () or type(content) is not list or len(content) != 1:
            raise BadItem("refused: an array of objects")
        return Objects(content)
    return _from_bytes(content, dtype, shape, "F" if columns_first else "C")


def _from_bytes(content: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """An array over `content`; shape and dtype must account for every byte of it."""
    if isinstance(content, str):  # bytes, as Python 2 and protocol 0 to 2 write them
        content = content.encode("latin-1")
    if not isinstance(dtype, np.dtype) or not isinstance(content, bytes | bytearray):
        raise BadItem("refused: an array that is not made of plain bytes")
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
        raise BadItem("not a readable pickle: the shape of an array is no tuple of numbers")
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize != len(content):
        raise BadItem(
            f"an array claims {count * dtype.itemsize} bytes, but {len(content)} are there"
        )
    if not content:
        return np.empty(shape, dtype)
    flat = np.frombuffer(bytes(content), dtype)
    # numpy does not check these when it makes Python objects of them.
    highest = {"b": 1, "U": sys.maxunicode}.get(dtype.kind)
    if highest is not None:
        plain = np.dtype("u1" if dtype.kind == "b" else dtype.byteorder + "u4")
        if len(content) and flat.view(plain).max() > highest:
            raise BadItem(f"an array of dtype {dtype} with values beyond {highest}")
    return flat.reshape(shape, order="F" if order == "F" else "C").copy(order="K")


def _scalar(dtype: Any, content: Any) -> Any:
    return _from_bytes(content, dtype, (1,))[0]


def _encoded(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise BadItem(f"refused: bytes in encoding {encoding!r}"[:100])
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _ordered(items: Any = None) -> dict:
    if items is None:
        return {}
    if type(items) is not list or not all(type(i) in (list, tuple) and len(i) == 2 for i in items):
        raise BadItem("refused: an ordered dict of something else than pairs")
    return dict(pairs([entry for item in items for entry in item]))


def _ndarray(*_: Any) -> None:
    raise BadItem("refused: the pickle calls numpy.ndarray")  # a name in arguments only


# numpy 1 writes numpy.core, numpy 2 writes numpy._core.
BUILDERS: dict[str, Callable] = {
    "numpy.ndarray": _ndarray,
    "numpy.dtype": _new_dtype,
    "numpy.core.multiarray._reconstruct": _new_array,
    "numpy._core.multiarray._reconstruct": _new_array,
    "numpy.core.numeric._frombuffer": _from_bytes,  # protocol 5
    "numpy._core.numeric._frombuffer": _from_bytes,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "_codecs.encode": _encoded,  # bytes in protocols 0 to 2
    "collections.OrderedDict": _ordered,
    "__builtin__.bytes": _no_bytes,  # in protocols 0 to 2
    "builtins.bytes": _no_bytes,
}
