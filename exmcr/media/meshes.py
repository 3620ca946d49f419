"""Geometry of triangle meshes and point clouds."""

import numpy as np

from exmcr.common.errors import BadItem


def sample_surface(vertices: np.ndarray, faces: np.ndarray, n: int, seed: int) -> np.ndarray:
    """n points on a triangle mesh, uniform by area -> float64 (n, 3).

    vertices: float (v, 3); faces: int (f, 3). Raises BadItem if the mesh has no area.
    """
    rng = np.random.default_rng(seed)
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    area[~np.isfinite(area)] = 0
    total = area.sum()
    if not total > 0:
        raise BadItem("mesh has no area")
    chosen = np.searchsorted(np.cumsum(area) / total, rng.random(n), side="right")
    chosen = chosen.clip(max=len(faces) - 1)
    u, v = rng.random((2, n, 1))
    flip = u + v > 1  # fold the unit square onto the triangle
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    return a[chosen] + u * (b[chosen] - a[chosen]) + v * (c[chosen] - a[chosen])


def sample_mesh(vertices: np.ndarray, faces: np.ndarray, n: int, seed: int) -> np.ndarray:
    """As `sample_surface`, in float32."""
    return sample_surface(vertices, faces, n, seed).astype(np.float32)


def fans(polygons: list[np.ndarray]) -> np.ndarray:
    """Polygons, arrays (count, corners) of indices -> triangles (f, 3), as fans from the first
    corner. Polygons of fewer than three corners have no triangle."""
    parts = [
        np.stack([np.broadcast_to(p[:, :1], p[:, 2:].shape), p[:, 1:-1], p[:, 2:]], axis=2)
        for p in polygons
        if p.shape[1] >= 3
    ]
    triangles = [part.reshape(-1, 3) for part in parts]
    return np.concatenate(triangles) if triangles else np.empty((0, 3), np.int64)


def unit_sphere(cloud: np.ndarray) -> np.ndarray:
    """Center by the mean and scale to unit radius. (n, 3) -> float32 (n, 3).

    ULIP's evaluation on ModelNet40 normalizes clouds in this way.
    """
    centered = cloud - cloud.mean(axis=0)
    return (centered / np.linalg.norm(centered, axis=1).max()).astype(np.float32)
