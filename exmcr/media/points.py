"""Point clouds."""

import os
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media.arrays import as_array
from exmcr.media.guard import bad_items, check_points
from exmcr.media.point_files import read

SUFFIXES = (".npy", ".npz", ".ply", ".pts", ".obj", ".off", ".xyz")
COLUMNS = 32  # a cloud has coordinates, color, normals, labels; more columns are something else
CHANNELS = (3, 4, 6, 7, 9, 10)  # rows of a transposed cloud: coordinates with color, normals, ...
FAR = 100.0  # distance from the origin, in extents, beyond which float32 loses the shape
EXTENTS = (1e-15, 1e15)  # outside, squares of float32 coordinates vanish or overflow


class Cloud(np.ndarray):
    """Coordinates, float32 (n, 3), whose attribute `colors` is float32 (n, 3) in [0, 1].

    A pickle keeps the colors. An array that is computed from a cloud has none: None; so has its
    copy.
    """

    colors: np.ndarray | None = None

    def __reduce__(self) -> tuple:
        return colored, (np.asarray(self), self.colors)


def colored(xyz: np.ndarray, colors: np.ndarray | None) -> Cloud:
    """A cloud of coordinates, float32 (n, 3), and their colors."""
    cloud = xyz.view(Cloud)
    cloud.colors = colors
    return cloud


@bad_items("cloud")
def load(item: Any) -> np.ndarray:
    """Path, array, list or tensor -> float32 (n, 3), a Cloud if it has colors.

    - Colors are columns 4 to 6 if all of them are from 0 to 1, or whole numbers from 0 to 255.
      Other columns (normals, labels) are dropped.

    - Coordinates keep their units and position. A cloud that is more than 100 times its own extent
      away from the origin (georeferenced coordinates) is centered in float64, as float32 would
      merge its points.
    - If at least half of the points are exact copies of others, each point is kept once.
    - Transposed arrays, (3, n) or (6, n), as some networks take them, are refused, and so are more
      than 32 columns.
    - Files: see exmcr.media.point_files.read.

    Raises BadItem for an unreadable file, another shape, an empty or non-finite cloud, one whose
    points all coincide, and one beyond the limits of exmcr.media.limits.
    """
    if isinstance(item, Cloud) and item.colors is not None:  # loaded before
        item = np.hstack([item, item.colors])
    cloud = read(item) if isinstance(item, str | os.PathLike) else as_array(item)
    if cloud.dtype.kind not in "iuf":
        raise BadItem(f"a cloud must hold numbers, not {cloud.dtype}")
    if cloud.ndim != 2 or cloud.shape[1] < 3:
        raise BadItem(f"a cloud must be (n, 3), got {cloud.shape}")
    if cloud.shape[0] in CHANNELS and cloud.shape[0] < cloud.shape[1]:
        raise BadItem(f"a cloud is (n, 3 or more), got {cloud.shape}; transpose it")
    if cloud.shape[1] > COLUMNS:
        raise BadItem(f"an array {cloud.shape} is no cloud: more than {COLUMNS} columns")
    check_points(len(cloud))
    if len(cloud) == 0:
        raise BadItem("empty cloud")
    # Beyond float64 (long double) or beyond float32, values become infinite here.
    with np.errstate(over="ignore"):
        placed = _placed(cloud[:, :3].astype(np.float64))
    kept, colors = _without_copies(placed), _colors(cloud[:, 3:6])
    if colors is None:
        return placed[kept]
    return colored(placed[kept], colors[kept])


def _colors(columns: np.ndarray) -> np.ndarray | None:
    """Columns 4 to 6 of a cloud as float32 in [0, 1]; None if they are no colors.

    Normals of a shape have negative numbers.
    """
    if columns.shape[1] < 3 or not (columns.min() >= 0 and columns.max() <= 255):
        return None
    if columns.max() <= 1 and columns.dtype.kind == "f":
        return columns.astype(np.float32)
    whole = (columns == np.round(columns)).all()
    return (columns / 255).astype(np.float32) if whole else None


def _placed(cloud: np.ndarray) -> np.ndarray:
    """float64 (n, 3) -> float32, centered if it is far from the origin."""
    if not np.isfinite(cloud).all():
        raise BadItem("cloud has NaN or infinite coordinates")
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    extent = float((high / 2 - low / 2).max()) * 2
    if extent == 0:
        raise BadItem("all points of the cloud coincide")
    if not EXTENTS[0] <= extent <= EXTENTS[1]:
        raise BadItem(f"cloud has an extent of {extent:g}; scale it to {EXTENTS[0]:g} or more")
    if np.abs(cloud).max() > FAR * extent:
        cloud = cloud - (low + high) / 2
    return np.ascontiguousarray(cloud, dtype=np.float32)


def _without_copies(cloud: np.ndarray) -> np.ndarray | slice:
    """The rows to keep: each point once, in the order of the first ones, if at least half of them
    are copies; else all."""
    _, first = np.unique(cloud, axis=0, return_index=True)
    return slice(None) if 2 * len(first) > len(cloud) else np.sort(first)


def draw(axis, cloud: np.ndarray) -> None:
    """Show a rendering of a cloud, (n, 3), y up, in a matplotlib axis."""
    from exmcr.media.rendering import render

    axis.imshow(render(cloud)[0])
