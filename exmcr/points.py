"""Point clouds from files, without executing anything a file may contain."""

from pathlib import Path

import numpy as np

from exmcr.errors import BadItem


def read(path: str | Path) -> np.ndarray:
    """Read `.npy` (plain array) or `.npz` (array `xyz` or `points`). Returns (n, >=3). Raises BadItem."""
    path = Path(path)
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadItem(f"unreadable point file: {error}") from error
    if isinstance(loaded, np.ndarray):
        return loaded
    for key in ("xyz", "points"):
        if key in loaded:
            return loaded[key]
    raise BadItem(f"no array 'xyz' or 'points' in {path.name}: {list(loaded)}")


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
