"""PLY files: ASCII and binary, any elements and properties.

Source of the format: G. Turk, The PLY Polygon File Format, 1994.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media.guard import check_points
from exmcr.media.meshes import fans

TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_LINE_END = re.compile(rb"\r\n|\n|\r")
COLORS = ("red", "green", "blue")
INDICES = ("vertex_indices", "vertex_index")  # names of the list of corners


@dataclass
class Element:
    """What the header declares: `count` rows of properties (name, type, type of a list's length).

    The type of the length is "" for a single number.
    """

    name: str
    count: int
    properties: list[tuple[str, str, str]] = field(default_factory=list)


def read(content: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Content of a file -> vertices, float64 (v, 3), and triangles, int (f, 3).

    Vertices with the properties red, green and blue are (v, 6), colors in [0, 1]. The triangles are
    None if the file has no faces. Polygons become fans of triangles.

    Raises BadItem for a file that is damaged, or holds more or less than its header declares.
    """
    order, elements, body = _header(content)
    source: _Binary | _Ascii = _Binary(body, order) if order else _Ascii(body)
    vertices, faces = np.empty((0, 3)), None
    for element in elements:
        rows = source.rows(element)
        if element.name == "vertex":
            missing = {"x", "y", "z"} - rows.keys()
            if missing:
                raise BadItem(f"vertices have no {', '.join(sorted(missing))}")
            whole = {name for name, kind, _ in element.properties if kind[0] in "iu"}
            names = [*"xyz", *(COLORS if rows.keys() >= {*COLORS} else ())]
            scales = [255 if name in COLORS and name in whole else 1 for name in names]
            columns = [rows[name][0][:, 0].astype(np.float64) for name in names]
            vertices = np.stack(columns, axis=1) / scales
        elif element.name == "face" and element.count:
            corners = [rows[name] for name in INDICES if name in rows]
            if not corners:
                raise BadItem("faces have no vertex_indices")
            faces = fans([part.astype(np.int64) for part in corners[0]])
    source.end()
    return vertices, faces


def _header(content: bytes) -> tuple[str, list[Element], bytes]:
    """Byte order ("" for ASCII), elements, and what follows the header."""
    elements: list[Element] = []
    order, position, first = None, 0, True
    while True:
        end = _LINE_END.search(content, position)
        if end is None:
            raise BadItem("the header does not end")
        line = content[position : end.start()].decode("ascii", "replace").split()
        position = end.end()
        word = line[0] if line else ""
        if first and line != ["ply"]:
            raise BadItem("not a PLY file, judging by its first line")
        first = False
        if word == "end_header":
            break
        if word == "format" and len(line) == 3 and line[1] in ORDERS:
            order = ORDERS[line[1]]
        elif word == "element" and len(line) == 3 and line[2].isdecimal():
            elements.append(Element(line[1], int(line[2])))
            check_points(elements[-1].count)
        elif word == "property" and elements:
            elements[-1].properties.append(_property(line))
        elif word not in ("", "ply", "comment", "obj_info"):
            raise BadItem(f"unknown line in the header: {' '.join(line)}")
    if order is None:
        raise BadItem("the header has no format")
    return order, elements, content[position:]


def _property(line: list[str]) -> tuple[str, str, str]:
    if len(line) == 3 and line[1] in TYPES:
        return line[2], TYPES[line[1]], ""
    if len(line) == 5 and line[1] == "list" and line[2] in TYPES and line[3] in TYPES:
        return line[4], TYPES[line[3]], TYPES[line[2]]
    raise BadItem(f"unknown line in the header: {' '.join(line)}")


Rows = dict[str, list[np.ndarray]]  # property -> arrays (count, length), by length of the lists


class _Ascii:
    """The body of an ASCII file: numbers separated by blanks."""

    def __init__(self, body: bytes):
        self.words, self.at = body.split(), 0

    def rows(self, element: Element) -> Rows:
        if not any(length for _, _, length in element.properties):
            width = len(element.properties)
            table = self._take(element.count * width, element).reshape(element.count, width)
            return {name: [table[:, [n]]] for n, (name, _, _) in enumerate(element.properties)}
        found: dict[str, dict[int, list[np.ndarray]]] = {}
        for _ in range(element.count):
            for name, _, length in element.properties:
                count = int(self._take(1, element)[0]) if length else 1
                row = self._take(count, element)
                found.setdefault(name, {}).setdefault(count, []).append(row)
        return _stacked(found)

    def _take(self, count: int, element: Element) -> np.ndarray:
        words = self.words[self.at : self.at + count]
        if count < 0 or len(words) < count:
            raise BadItem(f"the file ends before its {element.count} x {element.name}")
        self.at += count
        return np.array(words, dtype=np.float64)

    def end(self) -> None:
        """Raise BadItem if anything is left."""
        if self.at < len(self.words):
            raise BadItem("the file holds more than its header declares")


class _Binary:
    """The body of a binary file in a byte order."""

    def __init__(self, body: bytes, order: str):
        self.body, self.at, self.order, self.smallest = body, 0, order, 1

    def rows(self, element: Element) -> Rows:
        self.smallest = sum(
            np.dtype(length or kind).itemsize for _, kind, length in element.properties
        )
        if any(length for _, _, length in element.properties):
            return self._equal(element) or self._each(element)
        names = [(f"{n}", self.order + kind) for n, (_, kind, _) in enumerate(element.properties)]
        table = self._take(np.dtype(names), element.count, element)
        return {name: [table[f"{n}"][:, None]] for n, (name, _, _) in enumerate(element.properties)}

    def _equal(self, element: Element) -> Rows:
        """Rows whose lists are all as long as those of the first row; empty if they are not."""
        if not element.count:
            return {}
        before = self.at
        lengths = [
            {len(array[0]) for array in arrays}.pop()
            for arrays in self._each(Element("", 1, element.properties)).values()
        ]
        self.at = before
        kinds: list[tuple] = []
        for n, ((_, kind, length), size) in enumerate(zip(element.properties, lengths)):
            kinds += [(f"length {n}", self.order + length)] if length else []
            kinds.append((f"{n}", self.order + kind, (size,)))
        dtype = np.dtype(kinds)
        if dtype.itemsize * element.count > len(self.body) - self.at:
            return {}
        table = self._take(dtype, element.count, element)
        listed = [n for n, (_, _, length) in enumerate(element.properties) if length]
        if not all((table[f"length {n}"] == lengths[n]).all() for n in listed):
            self.at = before
            return {}
        return {name: [table[f"{n}"]] for n, (name, _, _) in enumerate(element.properties)}

    def _each(self, element: Element) -> Rows:
        """Rows of any length, one after the other."""
        found: dict[str, dict[int, list[np.ndarray]]] = {}
        for _ in range(element.count):
            for name, kind, length in element.properties:
                count = 1
                if length:
                    count = int(self._take(np.dtype(self.order + length), 1, element)[0])
                row = self._take(np.dtype(self.order + kind), count, element)
                found.setdefault(name, {}).setdefault(count, []).append(row)
        return _stacked(found)

    def _take(self, dtype: np.dtype, count: int, element: Element) -> np.ndarray:
        size = dtype.itemsize * count
        if count < 0 or size > len(self.body) - self.at:
            raise BadItem(f"the file ends before its {element.count} x {element.name}")
        taken = np.frombuffer(self.body, dtype, count, self.at)
        self.at += size
        return taken

    def end(self) -> None:
        """Raise BadItem if another row would fit into what is left."""
        if len(self.body) - self.at >= max(self.smallest, 1) > 0:
            raise BadItem("the file holds more than its header declares")


def _stacked(found: dict[str, dict[int, list[np.ndarray]]]) -> Rows:
    return {
        name: [np.stack(rows) for _, rows in sorted(by_length.items())]
        for name, by_length in found.items()
    }
