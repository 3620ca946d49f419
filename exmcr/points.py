"""Point clouds from files, without executing anything a file may contain."""

import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np

from exmcr.errors import BadItem


def read(path: str | Path) -> np.ndarray:
    """Read a cloud: (n, >=3), in the file's own units and precision. Raises BadItem.

    .npy            plain array, or an OpenShape record (a dict pickled into the file): its `xyz`
    .npz            array `xyz` or `points`
    .pts .xyz .txt  one point per line, separated by blanks or commas; a leading count is skipped
    .ply .obj .off  the vertices, or MESH_POINTS points on the surface when the file has faces
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


def read_record(path: str | Path) -> dict:
    """Read an OpenShape record: keys `xyz` (n, 3), `rgb`, `id`, `group`, `text`, ... Nothing in the file is executed.

    Source of the format: the Objaverse files of OpenShape (arXiv 2305.10764), `np.save(path, {...})`.
    Raises BadItem for anything else."""
    with Path(path).open("rb") as file:
        content = _unpickle_npy(file)
    record = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    if not isinstance(record, dict) or not isinstance(record.get("xyz"), np.ndarray):
        raise BadItem(f"{Path(path).name} is a pickle, but not of a dict with an array 'xyz'")
    return record


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
    except (ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
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
        # Textures and materials may name other files and are of no use here.
        mesh = trimesh.load(path, process=False, skip_materials=True)
        if isinstance(mesh, trimesh.Scene):
            mesh = mesh.to_mesh()
    except OSError:
        raise
    except Exception as error:  # trimesh lets through whatever its parsers stumble over
        raise BadItem(f"not a readable {path.suffix}: {type(error).__name__}: {error}") from error
    vertices, faces = np.asarray(mesh.vertices), np.asarray(getattr(mesh, "faces", np.empty((0, 3), int)))
    if len(vertices) == 0:
        raise BadItem("no vertices")
    if len(faces) == 0:
        return vertices
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise BadItem("faces name vertices that do not exist")
    return sample_mesh(vertices, faces, n=MESH_POINTS, seed=0)


MESH_POINTS = 10_000  # what the authors' demo clouds hold, and more than ULIP's 8192
READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    **dict.fromkeys((".pts", ".xyz", ".txt"), _read_lines),
    **dict.fromkeys((".ply", ".obj", ".off"), _read_mesh),
}


def _unpickle_npy(file):
    """The object stored in an open .npy of dtype object, read by an unpickler that can only build containers and arrays."""
    if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
        raise BadItem("not an .npy file, by its first bytes")
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        header(file)
        return _ArrayUnpickler(file).load()
    except BadItem:
        raise
    except Exception as error:  # a damaged pickle may raise almost anything
        raise BadItem(f"not a readable pickle: {type(error).__name__}: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Numbers, strings, containers, numpy arrays; every other name in the pickle is refused before it is called."""

    def find_class(self, module, name):
        # Both spellings of numpy's private package: 1.x writes numpy.core, 2.x numpy._core.
        builders = {
            "numpy.ndarray": "ndarray",  # only ever the first argument of _reconstruct, so not a callable here
            "numpy.dtype": _dtype,
            "numpy.core.multiarray._reconstruct": _empty_array,
            "numpy._core.multiarray._reconstruct": _empty_array,
            "numpy.core.numeric._frombuffer": _array,  # protocol 5
            "numpy._core.numeric._frombuffer": _array,
            "numpy.core.multiarray.scalar": _scalar,
            "numpy._core.multiarray.scalar": _scalar,
            "_codecs.encode": _bytes,  # how protocol 2 spells bytes
            "collections.OrderedDict": dict,
        }
        if f"{module}.{name}" not in builders:
            raise BadItem(f"refused: the pickle wants to call {module}.{name}")
        return builders[f"{module}.{name}"]


def _empty_array(kind, shape, code):
    return np.empty(0, np.int8)  # __setstate__ then gives it shape, dtype and contents


def _array(content, dtype, shape, order):
    if dtype.hasobject:
        raise BadItem("objects are not read from raw bytes")
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _dtype(spec, align=False, copy=True):
    if not isinstance(spec, str):
        raise BadItem("structured arrays are not read from pickles")
    return np.dtype(spec, align=False, copy=True)  # a copy, since __setstate__ changes it in place


def _scalar(dtype, content):
    if dtype.hasobject or not isinstance(content, bytes):
        raise BadItem("object scalars are not read from pickles")
    return np.frombuffer(content, dtype, count=1)[0]


def _bytes(text, encoding):
    if encoding != "latin1":
        raise BadItem(f"refused: bytes in encoding {encoding!r}")
    return text.encode("latin1")


def sample_mesh(vertices: np.ndarray, faces: np.ndarray, n: int, seed: int) -> np.ndarray:
    """n points, uniform by area, on a triangle mesh. vertices (v, 3), faces (f, 3) int -> float32 (n, 3).

    Raises BadItem when the mesh has no area."""
    rng = np.random.default_rng(seed)
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    area[~np.isfinite(area)] = 0
    total = area.sum()
    if not total > 0:
        raise BadItem("mesh has no area")
    which = np.searchsorted(np.cumsum(area) / total, rng.random(n), side="right").clip(max=len(faces) - 1)
    u, v = rng.random((2, n, 1))
    flip = u + v > 1  # fold the unit square onto the triangle
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    return (a[which] + u * (b[which] - a[which]) + v * (c[which] - a[which])).astype(np.float32)


def unit_sphere(cloud: np.ndarray) -> np.ndarray:
    """Centre by the mean and scale to unit radius, as ULIP's ModelNet40 evaluation does. (n, 3) -> float32 (n, 3)."""
    centred = cloud - cloud.mean(axis=0)
    return (centred / np.linalg.norm(centred, axis=1).max()).astype(np.float32)
