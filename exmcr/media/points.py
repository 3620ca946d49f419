"""Point clouds."""

from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.media.point_files import read

SUFFIXES = (".npy", ".npz", ".ply", ".pts")


def load(item: Any) -> np.ndarray:
    """Path or array -> float32 (n, 3). Further columns (colors, normals) are dropped.

    Raises BadItem for an unreadable file, another shape, an empty or non-finite cloud, and a cloud
    whose points all coincide.
    """
    if isinstance(item, str | Path):
        cloud = read(item)
    else:
        try:
            cloud = np.asarray(item)
        except ValueError as error:  # rows of unequal length
            raise BadItem(f"not an array: {error}") from error
    if cloud.dtype.kind not in "iuf":
        raise BadItem(f"a cloud must hold numbers, not {cloud.dtype}")
    if cloud.ndim != 2 or cloud.shape[1] < 3:
        raise BadItem(f"a cloud must be (n, 3), got {cloud.shape}")
    cloud = np.ascontiguousarray(cloud[:, :3], dtype=np.float32)
    if len(cloud) == 0:
        raise BadItem("empty cloud")
    if not np.isfinite(cloud).all():
        raise BadItem("cloud has NaN or infinite coordinates")
    if float(np.ptp(cloud, axis=0).max()) == 0:
        raise BadItem("all points of the cloud coincide")
    return cloud


def draw(axis, cloud: np.ndarray) -> None:
    """Show a rendering of a cloud, (n, 3), y up, in a matplotlib axis."""
    from exmcr.media.rendering import render

    axis.imshow(render(cloud)[0])
