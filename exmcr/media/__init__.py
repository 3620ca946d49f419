"""Raw items in memory: one module per modality, one entry of MODALITIES each.

modality   in memory                                                  on disk
text       str, not empty                                             the string itself
image      uint8 (H, W, 3) RGB, transparency composited on white      whatever Pillow reads
audio      Sound(samples float32 (n,) mono in [-1, 1], rate in Hz)    whatever libsndfile reads
points     float32 (n, 3), finite                                     see exmcr/media/point_files.py

A modality that is registered here can be encoded, aligned, evaluated, drawn and searched; nothing
else in the library lists modalities.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.media import images, points, sounds, text


@dataclass(frozen=True)
class Modality:
    """load    raw item (path, array, ...) -> item in memory; raises BadItem
    draw    (matplotlib axis, item in memory): show it in a gallery
    color   in figures, from the Okabe-Ito palette
    marker  matplotlib marker in scatter plots
    """

    load: Callable[..., Any]
    draw: Callable[..., None]
    color: str
    marker: str


MODALITIES: dict[str, Modality] = {
    "text": Modality(text.load, text.draw, "#0072B2", "o"),
    "image": Modality(images.load, images.draw, "#E69F00", "s"),
    "audio": Modality(sounds.load, sounds.draw, "#009E73", "^"),
    "points": Modality(points.load, points.draw, "#CC79A7", "D"),
}


def modality(name: str) -> Modality:
    """The registered modality of this name. Raises ConfigError, listing the known ones."""
    if name not in MODALITIES:
        raise ConfigError(f"unknown modality '{name}'; known: {', '.join(MODALITIES)}")
    return MODALITIES[name]


def load(name: str, item):
    """Load one raw item of a modality. Raises BadItem with the reason; see the table above."""
    return modality(name).load(item)
