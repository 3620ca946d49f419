"""Raw items in memory: one module per modality, with `load` and `draw`, and one registry entry.

modality   in memory                                                  on disk
text       str, visible characters in NFC                             the caption of the item
image      uint8 (H, W, 3) RGB, transparency composited on white      whatever Pillow reads
           uint8 (n, H, W, 3): frames of a video                      MP4, WebM, ...: videos.py
audio      Sound(samples float32 (n,) mono in [-1, 1], rate in Hz)    whatever libsndfile reads
points     float32 (n, 3), finite; with colors, a points.Cloud        see point_files.py
speech     as audio: a voice that says the caption                    as audio

What each loader accepts, how it normalizes, and what it refuses is said in its docstring, and
listed with examples in docs/inputs.md. limits.py says what one item may cost.

Adding a modality takes one module and one entry of MODALITIES; nothing else in the library lists
modalities. The other modules here are what loaders and figures share:

videos.py                                 frames of videos, for the image modality
sound_files.py                            sounds from files, block by block
point_files.py                            point clouds from files
records.py, record_arrays.py              OpenShape records, without an unpickler
mesh_files.py, ply.py, meshes.py          meshes from files, and points on them
rendering.py                              pictures of a point cloud
tars.py                                   members of tar shards, read in place
hdf5.py                                   rows of datasets in HDF5 files
guard.py, limits.py, arrays.py            errors and limits of all of them
ahead.py, chunks.py                       items loaded by threads, in bounded memory
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.media import images, points, sounds, text
from exmcr.media.guard import bad_items


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
    "speech": Modality(sounds.load, sounds.draw, "#D55E00", "v"),
}


def modality(name: str) -> Modality:
    """The registered modality of this name. Raises ConfigError, listing the known ones."""
    if name not in MODALITIES:
        raise ConfigError(f"unknown modality '{name}'; known: {', '.join(MODALITIES)}")
    return MODALITIES[name]


def load(name: str, item: Any, **window: float) -> Any:
    """Load one raw item of a modality, as the table above describes.

    window: `start`, `seconds` and `used`, for a modality whose loader cuts a window out of a file.

    Raises BadItem with the reason in one line, whatever the loader raised; ConfigError for an
    unknown modality.
    """
    loader = modality(name).load
    with bad_items(name):
        return loader(item, **window)
