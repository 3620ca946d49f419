"""Raw items in memory: one module per modality, with `load` and `draw`, and one registry entry.

modality   in memory                                                  on disk
text       str, not empty                                             the caption of the item
image      uint8 (H, W, 3) RGB, transparency composited on white      whatever Pillow reads
audio      Sound(samples float32 (n,) mono in [-1, 1], rate in Hz)    whatever libsndfile reads
points     float32 (n, 3), finite                                     see point_files.py

Adding a modality takes one module and one entry of MODALITIES; nothing else in the library lists
modalities. The other modules here are what loaders and figures share:

point_files.py, records.py, meshes.py   point clouds from files
rendering.py                            pictures of a point cloud
tars.py                                 members of tar shards, read in place
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.media import images, points, sounds, text


@dataclass(frozen=True)
class Modality:
    """What the library needs to know of a modality.

    load      raw item (path, array, ...) -> item in memory; raises BadItem
    draw      (matplotlib axis, item in memory): show it in a gallery, in the axis' color cycle
    color     in figures, from the Okabe-Ito palette
    marker    matplotlib marker in scatter plots
    suffixes  of its files in webdataset shards, lower case; empty if it has none
    """

    load: Callable[..., Any]
    draw: Callable[..., None]
    color: str
    marker: str
    suffixes: tuple[str, ...] = ()


# The order counts: of several items of one original (a shape, its render, its name), the item of
# the last modality is the one that the others belong to.
MODALITIES: dict[str, Modality] = {
    "text": Modality(text.load, text.draw, "#0072B2", "o"),
    "image": Modality(images.load, images.draw, "#E69F00", "s", images.SUFFIXES),
    "audio": Modality(sounds.load, sounds.draw, "#009E73", "^", sounds.SUFFIXES),
    "points": Modality(points.load, points.draw, "#CC79A7", "D", points.SUFFIXES),
}


def modality(name: str) -> Modality:
    """The registered modality of this name. Raises ConfigError, listing the known ones."""
    if name not in MODALITIES:
        raise ConfigError(f"unknown modality '{name}'; known: {', '.join(MODALITIES)}")
    return MODALITIES[name]


def load(name: str, item: Any, **window: float) -> Any:
    """Load one raw item of a modality, as the table above describes.

    window: `start` and `seconds`, for a modality whose loader cuts a window out of a file.

    Raises BadItem with the reason, ConfigError for an unknown modality.
    """
    return modality(name).load(item, **window)
