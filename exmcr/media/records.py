"""OpenShape records, read by a parser that knows their format and calls nothing a file names."""

import io
import pickletools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media.arrays import npy_header
from exmcr.media.guard import bad_items, check_bytes
from exmcr.media.record_arrays import BUILDERS, Objects, Pending, array, dtype_of, pairs

Pickle = Iterator[tuple[Any, Any, Any]]  # opcode, argument, position

MARK = object()


def read_record(path: str | Path) -> dict:
    """Read an OpenShape record: a dict with `xyz` (n, 3), `rgb`, `id`, `group`, `text`, ...

    Accepts numbers, strings, bytes, lists, tuples, dicts, and arrays of booleans, integers, floats,
    bytes or strings, in pickle protocols 0 to 5. Calls no unpickler: opcodes are interpreted here,
    and an array is made from its bytes by np.frombuffer after a check of its dtype and length.

    Raises BadItem for any other content.
    Source of the format: the Objaverse files of OpenShape (arXiv 2305.10764), written by
    `np.save(path, {...})`.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = path.stat().st_size
        check_bytes(size, path.name)
        content = _content(io.BytesIO(file.read(size)))
    if isinstance(content, Objects) and len(content) == 1:
        content = content[0]
    if not isinstance(content, dict) or not isinstance(content.get("xyz"), np.ndarray):
        raise BadItem(f"{path.name} is a pickle, but not of a dict with an array 'xyz'")
    return content


def _content(file: io.BytesIO) -> Any:
    """The object behind the header of an .npy file of dtype object."""
    with bad_items("pickle"):
        shape, _, dtype = npy_header(file)
        if not dtype.hasobject or shape != ():
            raise BadItem(
                f"the header says {shape} of {dtype}, not one record; it is not of a dict"
            )
        try:
            value = _Machine().run(pickletools.genops(file))
        except (IndexError, KeyError) as error:  # of the stack or the memo
            raise BadItem(f"not a readable pickle: {type(error).__name__}") from error
        if left := len(file.getbuffer()) - file.tell():
            raise BadItem(f"not a readable pickle: {left} bytes follow its end")
        return value


class _Machine:
    """A stack and a memo, as the pickle format has them, and the opcodes that records use."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.complete = False  # once there is an array of objects, which only the end may follow

    def run(self, pickle: Pickle) -> Any:
        for opcode, argument, _ in pickle:
            name = opcode.name
            if name == "STOP":
                (value,) = self.stack
                return value
            if self.complete:
                raise BadItem("refused: an array of objects inside of a record")
            if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _VALUES:
                self.stack.append(argument)
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            elif name not in ("PROTO", "FRAME"):
                raise BadItem(f"refused: the pickle uses {name}")
        raise BadItem("not a readable pickle: it has no end")

    def since_mark(self) -> list[Any]:
        """Pop what lies above the last mark, and the mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise BadItem("not a readable pickle: a mark is missing")

    def take(self, count: int) -> tuple:
        """Pop the last `count` values."""
        if len(self.stack) < count:
            raise IndexError(count)
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return values

    def put(self, key: int | None) -> None:
        key = len(self.memo) if key is None else key
        value = self.memo[key] = self.stack[-1]
        if isinstance(value, Pending):
            value.keys.append(key)

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise BadItem("not a readable pickle: it appends to something that is no list")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise BadItem("not a readable pickle: it sets items of something that is no dict")
        target.update(pairs(values))

    def name(self, module: str, name: str) -> None:
        """Push a function that stands for a name of the pickle. Refuses all but those below."""
        if f"{module}.{name}" not in BUILDERS:
            raise BadItem(f"refused: the pickle calls {module}.{name}")
        self.stack.append(BUILDERS[f"{module}.{name}"])

    def reduce(self) -> None:
        function, arguments = self.take(2)
        known = any(function is builder for builder in BUILDERS.values())
        if not known or type(arguments) is not tuple:
            raise BadItem("refused: the pickle calls something that is no array")
        self.stack.append(function(*arguments))

    def build(self) -> None:
        pending, state = self.take(2)
        if not isinstance(pending, Pending) or type(state) is not tuple:
            raise BadItem("refused: the pickle sets the state of something that is no array")
        value = array(state) if pending.spec is None else dtype_of(pending.spec, state)
        for key in pending.keys:
            self.memo[key] = value
        self.complete = isinstance(value, Objects)
        self.stack.append(value)


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": MARK}
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_Action = Callable[[_Machine, Any], Any]
_ACTIONS: dict[str, _Action] = {
    "POP": lambda machine, _: machine.take(1),
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, key: machine.put(key)),
    "MEMOIZE": lambda machine, _: machine.put(None),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"),
        lambda machine, key: machine.stack.append(machine.memo[key]),
    ),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "DICT": lambda machine, _: machine.stack.append(dict(pairs(machine.since_mark()))),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.take(3)),
    "APPEND": lambda machine, _: machine.extend([*machine.take(1)]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.set_items([*machine.take(2)]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": lambda machine, name: machine.name(*name.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name(*machine.take(2)),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}
