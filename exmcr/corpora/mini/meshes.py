"""Read three plain mesh formats of games and simulators as triangles.

g3d    binary, of MegaGlest: https://docs.megaglest.org/G3D_support
ac     text, of the editor AC3D: https://www.inivis.com/ac3d/man/ac3dfileformat.html
ms3d   text, of the editor MilkShape 3D

Each reader takes the content of a file and returns vertices, float64 (v, 3), and triangles,
int64 (f, 3), with y up. It raises BadItem for content that is no such mesh.
"""

import struct
from collections.abc import Callable

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media.meshes import fans

Mesh = tuple[np.ndarray, np.ndarray]

_G3D_HEADER = struct.Struct("<64s3I8f2I")  # name, frames, vertices, indices, colors, flags
_TEXTURES = 5  # bits of the last field of the header that stand for a texture name each


def read(content: bytes, suffix: str) -> Mesh:
    """Vertices and triangles of a mesh file. suffix: a key of READERS."""
    try:
        vertices, faces = READERS[suffix](content)
    except (ValueError, IndexError, StopIteration, struct.error) as error:
        raise BadItem(f"unreadable mesh: {error}") from error
    if len(faces) == 0:
        raise BadItem("mesh has no faces")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise BadItem("mesh has faces of vertices that do not exist")
    return vertices, faces


def _joined(parts: list[Mesh]) -> Mesh:
    """Several meshes as one."""
    if not parts:
        return np.empty((0, 3)), np.empty((0, 3), np.int64)
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = [part[1] + start for part, start in zip(parts, starts, strict=False)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces)


def _read_g3d(content: bytes) -> Mesh:
    """Version 4: meshes with all frames of an animation, of which the first is used."""
    if content[:4] != b"G3D\x04":
        raise ValueError("not a G3D file of version 4")
    (count,), position, parts = struct.unpack_from("<H", content, 4), 7, []
    for _ in range(count):
        _, frames, n, indices, *_, flags = _G3D_HEADER.unpack_from(content, position)
        textures = sum(flags >> bit & 1 for bit in range(_TEXTURES))
        position += _G3D_HEADER.size + 64 * textures
        vertices = np.frombuffer(content, "<f4", 3 * n, position).reshape(-1, 3)
        # Positions and normals of each frame, then texture coordinates.
        position += 24 * n * frames + (8 * n if textures else 0)
        faces = np.frombuffer(content, "<u4", indices, position).reshape(-1, 3)
        position += 4 * indices
        parts.append((vertices.astype(np.float64), faces.astype(np.int64)))
    return _joined(parts)


def _read_ac(content: bytes) -> Mesh:
    """A tree of objects; each has an offset (`loc`) from its parent, vertices and surfaces."""
    lines = iter(content.decode("latin-1").splitlines())
    if not next(lines, "").startswith("AC3D"):
        raise ValueError("not an AC3D file")
    parts: list[Mesh] = []
    # Offset, rotation, and number of children still to come of every open object.
    open_objects = [(np.zeros(3), np.eye(3), 1)]
    offset, turn = np.zeros(3), np.eye(3)
    vertices = np.empty((0, 3))
    polygons: list[np.ndarray] = []
    for line in lines:
        key, _, rest = line.strip().partition(" ")
        if key == "OBJECT":
            while open_objects[-1][2] == 0:
                open_objects.pop()
            offset, turn, left = open_objects.pop()
            open_objects.append((offset, turn, left - 1))
            vertices, polygons = np.empty((0, 3)), []
        elif key == "loc":
            offset = offset + turn @ np.array(rest.split(), np.float64)
        elif key == "rot":
            turn = turn @ np.array(rest.split(), np.float64).reshape(3, 3).T
        elif key == "numvert":
            rows = [next(lines).split()[:3] for _ in range(int(rest))]
            vertices = np.array(rows, np.float64).reshape(-1, 3) @ turn.T + offset
        elif key == "refs":
            corners = [int(next(lines).split()[0]) for _ in range(int(rest))]
            polygons.append(np.array([corners]))
        elif key == "kids":
            if polygons:
                parts.append((vertices, fans(polygons)))
            if int(rest):
                open_objects.append((offset, turn, int(rest)))
    return _joined(parts)


def _read_ms3d(content: bytes) -> Mesh:
    """Meshes of a name line, vertices, normals and triangles, each list after its length."""
    lines = [
        line
        for line in content.decode("latin-1").splitlines()
        if line.strip() and not line.startswith("//")
    ]
    place = next(i for i, line in enumerate(lines) if line.startswith("Meshes:"))
    count, place, parts = int(lines[place].split(":")[1]), place + 1, []
    for _ in range(count):
        lists, place = [], place + 1
        for _ in range(3):
            n = int(lines[place])
            lists.append([line.split() for line in lines[place + 1 : place + 1 + n]])
            place += 1 + n
        vertices = np.array([row[1:4] for row in lists[0]], np.float64).reshape(-1, 3)
        faces = np.array([row[1:4] for row in lists[2]], np.int64).reshape(-1, 3)
        parts.append((vertices, faces))
    return _joined(parts)


READERS: dict[str, Callable[[bytes], Mesh]] = {
    ".g3d": _read_g3d,
    ".ac": _read_ac,
    ".txt": _read_ms3d,
}
