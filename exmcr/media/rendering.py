"""Pictures of a point cloud from several sides, as input of an image encoder.

Only positions are used: no mesh, no color.
"""

import numpy as np
from scipy.ndimage import grey_closing, median_filter
from scipy.spatial import cKDTree

# Degrees about the upright y axis; 0 looks at the front. A third view, at 35, gained
# nothing on validation.
AZIMUTHS = (-35.0, 145.0)
ELEVATION = 20.0  # degrees
SIDE = 224  # pixels
NEIGHBORS = 12  # of a point, for its normal
LIGHT = np.array([0.4, 0.7, 0.6]) / np.linalg.norm([0.4, 0.7, 0.6])


def normals(cloud: np.ndarray) -> np.ndarray:
    """Unit normals, sign arbitrary: the smallest principal axis of the 12 nearest neighbors.

    (n, 3) -> (n, 3). Copies of a point count once among the neighbors, and have one normal.
    """
    distance, near = cKDTree(cloud).query(cloud, k=min(NEIGHBORS, len(cloud)))
    if len(cloud) > 1 and not distance[:, 1].all():
        distinct, copy = np.unique(cloud, axis=0, return_inverse=True)
        return normals(distinct)[copy.reshape(-1)]
    local = cloud[near]
    local -= local.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(local.transpose(0, 2, 1) @ local)
    return axes[:, :, 0]


def render(cloud: np.ndarray) -> list[np.ndarray]:
    """(n, 3), y up -> one uint8 (224, 224, 3) picture per azimuth: a lit, gray surface on white."""
    cloud = cloud.astype(np.float64)  # exact to the pixel at any position and scale
    cloud = cloud - (cloud.max(0) + cloud.min(0)) / 2
    cloud = cloud / (np.linalg.norm(cloud, axis=1).max() or 1.0)
    normal = normals(cloud)
    return [_picture(cloud @ turn.T, normal @ turn.T) for turn in map(_rotation, AZIMUTHS)]


def _rotation(azimuth: float) -> np.ndarray:
    a, e = np.radians(azimuth), np.radians(ELEVATION)
    about_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return about_x @ about_y


def _picture(cloud: np.ndarray, normal: np.ndarray) -> np.ndarray:
    low, high = cloud[:, :2].min(0), cloud[:, :2].max(0)
    scale = (SIDE - 24) / max((high - low).max(), 1e-9)
    xy = ((cloud[:, :2] - (low + high) / 2) * scale + SIDE / 2).round().astype(int)
    column, line = xy[:, 0].clip(0, SIDE - 1), (SIDE - 1 - xy[:, 1]).clip(0, SIDE - 1)
    # The normal that faces the viewer is the visible one.
    facing = np.where(normal[:, 2:] < 0, -normal, normal)
    gray = 0.25 + 0.6 * np.clip(facing @ LIGHT, 0, 1)
    # From far to near: the nearest point of a pixel is written last.
    order = np.argsort(cloud[:, 2], kind="stable")
    depth = np.full((SIDE, SIDE), -np.inf, np.float32)
    shade = np.zeros((SIDE, SIDE), np.float32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = (line[order] + dy).clip(0, SIDE - 1), (column[order] + dx).clip(0, SIDE - 1)
            z = cloud[order, 2].astype(np.float32) - 0.02 * (abs(dx) + abs(dy))
            layer = np.full((SIDE, SIDE), -np.inf, np.float32)
            layer_shade = np.zeros((SIDE, SIDE), np.float32)
            layer[y, x], layer_shade[y, x] = z, gray[order]
            nearer = layer > depth
            depth[nearer], shade[nearer] = layer[nearer], layer_shade[nearer]
    solid = np.isfinite(depth)
    # Small holes between splats are closed with the neighboring gray.
    filled = grey_closing(np.where(solid, shade, 0), size=(5, 5))
    cover = grey_closing(solid.astype(np.uint8), size=(5, 5))
    value = np.where(cover == 1, np.where(solid, shade, filled), 1.0)
    # Points of inner and back faces show through gaps of the front; the median removes them.
    value = np.where(cover == 1, median_filter(value, size=5), 1.0)
    return np.repeat((value * 255).astype(np.uint8)[:, :, None], 3, axis=2)
