"""Point clouds read from files; nothing that a file contains is executed."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media.meshes import sample_mesh
from exmcr.media.records import read_record

MESH_POINTS = 10_000  # as many as the authors' demo clouds have, and more than ULIP's 8192
_NPZ_ERRORS = (
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    zipfile.BadZipFile,
    zlib.error,
)


def read(path: str | Path) -> np.ndarray:
    """Read a cloud, (n, >= 3), in the units and precision of the file.

    .npy            plain array, or the `xyz` of an OpenShape record (a pickled dict)
    .npz            array `xyz` or `points`
    .pts .xyz .txt  one point per line, separated by blanks or commas; a leading count is skipped
    .ply .obj .off  the vertices, or MESH_POINTS points on the surface if the file has faces

    Raises BadItem for another suffix, and for a missing, empty or damaged file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise BadItem(f"{path.name}: points are read from {', '.join(READERS)}")
    if path.is_file() and path.stat().st_size == 0:
        raise BadItem(f"{path.name} is an empty file")
    try:
        cloud = READERS[suffix](path)
    except BadItem as error:
        raise BadItem(f"{path.name}: {error}") from error
    except OSError as error:
        raise BadItem(f"unreadable point file: {error}") from error
    if not isinstance(cloud, np.ndarray):
        raise BadItem(f"{path.name} holds no array")
    if not np.issubdtype(cloud.dtype, np.number) or np.iscomplexobj(cloud):
        raise BadItem(f"{path.name} holds {cloud.dtype}, not numbers")
    return cloud


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        if "allow_pickle" not in str(error):
            raise BadItem(f"not a readable .npy: {error}") from error
    return read_record(path)["xyz"]


def _read_npz(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for key in ("xyz", "points"):
                if key in arrays:
                    return arrays[key]
            names = list(arrays)
    except _NPZ_ERRORS as error:
        if "allow_pickle" in str(error):
            raise BadItem("refused: it holds Python objects instead of numbers") from error
        raise BadItem(f"not a readable .npz: {error}") from error
    raise BadItem(f"no array 'xyz' or 'points', only {names}")


def _read_lines(path: Path) -> np.ndarray:
    lines = path.read_text(errors="replace").replace(",", " ").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if rows and len(rows[0]) == 1:  # Leica's .pts begins with the number of points
        rows = rows[1:]
    if not rows:
        raise BadItem("no points")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise BadItem(f"not a table of numbers: {error}") from error


def _read_mesh(path: Path) -> np.ndarray:
    import trimesh

    try:
        # Textures and materials may refer to other files, and are not needed.
        mesh: Any = trimesh.load(path, process=False, skip_materials=True)
        if isinstance(mesh, trimesh.Scene):
            mesh = mesh.to_mesh()
    except OSError:
        raise
    except Exception as error:  # trimesh passes on any error of its parsers
        raise BadItem(f"not a readable {path.suffix}: {type(error).__name__}: {error}") from error
    vertices = np.asarray(mesh.vertices)
    faces = np.asarray(getattr(mesh, "faces", np.empty((0, 3), int)))
    if len(vertices) == 0:
        raise BadItem("no vertices")
    if len(faces) == 0:
        return vertices
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise BadItem("faces refer to vertices that do not exist")
    return sample_mesh(vertices, faces, n=MESH_POINTS, seed=0)


READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    **dict.fromkeys((".pts", ".xyz", ".txt"), _read_lines),
    **dict.fromkeys((".ply", ".obj", ".off"), _read_mesh),
}
