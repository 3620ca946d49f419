"""Meshes in the text formats OBJ and OFF."""

import re

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media.guard import check_points
from exmcr.media.meshes import fans

# Counts may follow the word on its line, even without a blank, as in some files of ModelNet40.
# ST, C, N, 4 and n stand for columns behind or around the coordinates.
_OFF = re.compile(r"(ST)?(C)?(N)?(4)?(n)?OFF(?P<binary>\s+BINARY)?", re.ASCII)

Mesh = tuple[np.ndarray, np.ndarray | None]


def read_obj(content: bytes) -> Mesh:
    """Wavefront OBJ -> vertices, float64 (v, 3), and triangles, int (f, 3), None without faces.

    Polygons become fans of triangles. Materials, textures, normals and curves are not read.

    Raises BadItem for a line of a vertex or face that is cut short or holds no numbers.
    """
    lines = content.decode("utf-8-sig", "replace").replace("\\\r\n", " ").replace("\\\n", " ")
    vertices: list[list[str]] = []
    polygons: dict[int, list[list[int]]] = {}
    for number, line in enumerate(lines.splitlines(), 1):
        word, *rest = line.partition("#")[0].split() or [""]
        if word == "v":
            if len(rest) < 3:
                raise BadItem(f"line {number}: a vertex of {len(rest)} coordinates")
            vertices.append(rest[:3])
        elif word == "f":
            corners = [_corner(part, len(vertices), number) for part in rest]
            polygons.setdefault(len(corners), []).append(corners)
    check_points(max(len(vertices), sum(map(len, polygons.values()))))
    table = np.array(vertices, dtype=np.float64).reshape(-1, 3)
    return table, fans([np.array(p) for p in polygons.values()]) if polygons else None


def _corner(part: str, seen: int, number: int) -> int:
    """`7`, `7/1` or `7//2` -> 6; `-1` -> the last vertex so far."""
    try:
        index = int(part.partition("/")[0])
    except ValueError as error:
        raise BadItem(f"line {number}: '{part[:20]}' is no corner of a face") from error
    if index == 0 or index < -seen:
        raise BadItem(f"line {number}: faces refer to vertices that do not exist")
    return index - 1 if index > 0 else seen + index


def read_off(content: bytes) -> Mesh:
    """OFF, also COFF, NOFF and the like -> vertices, float64 (v, 3), and triangles, int (f, 3).

    The triangles are None if the header declares no faces. Polygons become fans of triangles.

    Raises BadItem if the file holds more or less than its header declares.
    Source of the format: Geomview's manual, object file formats.
    """
    lines = content.decode("utf-8-sig", "replace").splitlines()
    rows = [row for line in lines if (row := line.partition("#")[0].split())]
    kind = _OFF.match(rows[0][0] if rows else "")
    if kind is None or rows[0][1:2] == ["BINARY"] or kind["binary"]:
        raise BadItem("not an OFF file in ASCII, judging by its first line")
    if kind[4] or kind[5]:
        raise BadItem("vertices in four or n dimensions are not read")
    counts = [word for word in [rows[0][0][kind.end() :], *rows[0][1:]] if word]
    rows = rows[1:]
    if not counts and rows:
        counts, rows = rows[0], rows[1:]
    if len(counts) not in (2, 3) or not all(word.isdecimal() for word in counts):
        raise BadItem("the header has no counts of vertices and faces")
    v, f = int(counts[0]), int(counts[1])
    check_points(max(v, f))
    if len(rows) != v + f:
        raise BadItem(f"the header says {v} vertices and {f} faces, {len(rows)} lines follow")
    if any(len(row) < 3 for row in rows[:v]):
        raise BadItem("a vertex has fewer than 3 coordinates")
    vertices = np.array([row[:3] for row in rows[:v]], dtype=np.float64).reshape(-1, 3)
    return vertices, _faces(rows[v:]) if f else None


def _faces(rows: list[list[str]]) -> np.ndarray:
    """Lines `corners index index ... [color]` -> triangles."""
    polygons: dict[int, list[list[int]]] = {}
    for row in rows:
        corners = int(row[0])
        if corners < 1 or len(row) < corners + 1:
            raise BadItem(f"a face of {corners} corners has {len(row) - 1} indices")
        polygons.setdefault(corners, []).append([int(word) for word in row[1 : corners + 1]])
    return fans([np.array(part) for part in polygons.values()])
