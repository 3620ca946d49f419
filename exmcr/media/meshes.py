"""Triangle meshes and clouds as geometry."""

import numpy as np

from exmcr.common.errors import BadItem


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
    which = np.searchsorted(np.cumsum(area) / total, rng.random(n), side="right").clip(
        max=len(faces) - 1
    )
    u, v = rng.random((2, n, 1))
    flip = u + v > 1  # fold the unit square onto the triangle
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    return (a[which] + u * (b[which] - a[which]) + v * (c[which] - a[which])).astype(np.float32)


def unit_sphere(cloud: np.ndarray) -> np.ndarray:
    """Center by the mean and scale to unit radius, as ULIP's ModelNet40 evaluation does. (n, 3) -> float32 (n, 3)."""
    centered = cloud - cloud.mean(axis=0)
    return (centered / np.linalg.norm(centered, axis=1).max()).astype(np.float32)
