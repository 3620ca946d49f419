"""Point clouds read from files; nothing that a file contains is executed."""

import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media import mesh_files, ply
from exmcr.media.arrays import npy_header
from exmcr.media.guard import bad_items, check_bytes, check_points, regular_file
from exmcr.media.meshes import sample_surface
from exmcr.media.records import read_record

MESH_POINTS = 10_000  # as many as the authors' demo clouds have, and more than ULIP's 8192
_BLANK_IN_FIELD = re.compile(r"[^\s,]\s+[^\s,]")


@bad_items("point file")
def read(path: str | os.PathLike) -> np.ndarray:
    """Read a cloud, (n, >= 3), in the units and precision of the file. Columns 4 to 6 are colors if
    the file says so, or whatever a table has there.

    .npy            plain array, or `xyz` and `rgb` of an OpenShape record (a pickled dict)
    .npz            array `xyz` or `points`, and `rgb` or `colors`, unless these are pickled
    .pts .xyz .txt  one point per line, separated by blanks or by commas; a leading count is checked
    .ply .obj .off  the vertices, or MESH_POINTS points on the surface if the file has faces; the
                    vertices of a .ply without faces keep their color

    A file must hold as many points, vertices and faces as its header says, no fewer and no more.

    Raises BadItem for another suffix, for a missing, empty or damaged file, and for one beyond the
    limits of exmcr.media.limits.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise BadItem(f"{path.name}: points are read from {', '.join(READERS)}")
    regular_file(path, "point file")
    check_bytes(path.stat().st_size, path.name)
    try:
        with bad_items(suffix):
            cloud = READERS[suffix](path)
    except BadItem as error:
        raise BadItem(f"{path.name}: {error}") from error
    if not isinstance(cloud, np.ndarray):
        raise BadItem(f"{path.name} holds no array")
    if cloud.dtype.kind not in "iuf":
        raise BadItem(f"{path.name} holds {cloud.dtype}, not numbers")
    return cloud


def _read_npy(path: Path) -> Any:
    with path.open("rb") as file:
        array = _array(file, path.stat().st_size)
    if array is not None:
        return array
    record = read_record(path)
    return _with_colors(record["xyz"], record.get("rgb"))


def _with_colors(cloud: np.ndarray, colors: Any) -> np.ndarray:
    """A cloud with three more columns, colors in [0, 1]; as it is if `colors` does not fit it."""
    fits = isinstance(colors, np.ndarray) and colors.shape == cloud.shape and cloud.ndim == 2
    if not fits or cloud.shape[1] != 3 or colors.dtype.kind not in "iuf":
        return cloud
    return np.hstack([cloud, colors if colors.dtype.kind == "f" else colors / 255])


def _array(file: BinaryIO, size: int) -> np.ndarray | None:
    """The array in an .npy file of `size` bytes; None if it holds pickled objects.

    The header is held against the size first: it may claim more than any memory has.
    """
    shape, columns_first, dtype = npy_header(file)
    if dtype.hasobject:
        return None
    count, begin = 1, file.tell()
    for length in shape:
        count *= length
    if count * dtype.itemsize != size - begin:
        raise BadItem(
            f"the header says {shape} of {dtype}, {count * dtype.itemsize} bytes, but "
            f"{size - begin} follow"
        )
    array = np.frombuffer(file.read(size - begin), dtype, count)
    return array.reshape(shape, order="F" if columns_first else "C")


def _read_npz(path: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        for key in ("xyz", "points"):
            if key in names:
                colors = next((name for name in ("rgb", "colors") if name in names), None)
                cloud = _member(archive, key)
                if cloud is None:
                    raise BadItem("refused: it holds Python objects instead of numbers")
                return _with_colors(cloud, _member(archive, colors) if colors else None)
    raise BadItem(f"no array 'xyz' or 'points', only {names}")


def _member(archive: zipfile.ZipFile, key: str) -> np.ndarray | None:
    """An array of an archive; None if it holds pickled objects."""
    check_bytes(archive.getinfo(f"{key}.npy").file_size, f"array '{key}'")
    content = archive.read(f"{key}.npy")
    return _array(io.BytesIO(content), len(content))


def _read_lines(path: Path) -> np.ndarray:
    text = path.read_bytes().decode("utf-8-sig", "replace")
    lines = [cut for line in text.splitlines() if (cut := line.partition("#")[0].strip())]
    if not lines:
        raise BadItem("no points")
    declared = None
    if re.fullmatch(r"\d+", lines[0]):  # Leica's .pts begins with the number of points
        declared = int(lines.pop(0))
    check_points(len(lines))
    if any("," in line for line in lines):
        _check_commas(lines)
    try:
        table = np.loadtxt(lines, delimiter="," if "," in lines[0] else None, ndmin=2)
    except ValueError as error:
        raise BadItem(f"not a table of numbers: {error}") from error
    if declared not in (None, len(table)):
        raise BadItem(f"the first line says {declared} points, {len(table)} follow")
    return table


def _check_commas(lines: list[str]) -> None:
    """Raise BadItem unless commas separate the columns of every line."""
    for number, line in enumerate(lines, 1):
        if "," not in line or _BLANK_IN_FIELD.search(line):
            raise BadItem(
                f"line {number} has commas inside of numbers, or blanks and commas between them; "
                "write numbers with a decimal point, and one separator"
            )


def _read_mesh(path: Path) -> np.ndarray:
    content = path.read_bytes()
    vertices, faces = MESHES[path.suffix.lower()](content)
    if len(vertices) == 0:
        raise BadItem("no vertices")
    if faces is None:
        return vertices
    vertices = vertices[:, :3]
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise BadItem("faces refer to vertices that do not exist")
    if not np.isfinite(vertices[faces]).all():
        raise BadItem("mesh has NaN or infinite coordinates")
    return sample_surface(vertices, faces, n=MESH_POINTS, seed=0)


MESHES = {".ply": ply.read, ".obj": mesh_files.read_obj, ".off": mesh_files.read_off}
READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    **dict.fromkeys((".pts", ".xyz", ".txt"), _read_lines),
    **dict.fromkeys(MESHES, _read_mesh),
}
