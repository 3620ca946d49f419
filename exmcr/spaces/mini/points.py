"""A leaf: point clouds, images of objects and text."""

import numpy as np

from exmcr.common.hashing import digest
from exmcr.media import rendering
from exmcr.spaces.mini import images
from exmcr.spaces.mini.backbones.runtime import in_threads
from exmcr.spaces.mini.features import Backbone, Cached
from exmcr.spaces.mini.space import MiniSpace
from exmcr.spaces.mini.towers import Parts

EXTENTS = images.INNER + 3  # end of the image features and of the three extents


class _Views:
    """Clouds (n, 3) -> float32 (n, 4235): image features averaged over two rendered views, and
    the logarithm of the extent along each axis."""

    def __init__(self, image: Backbone):
        self.image = image
        self.size = image.size + 3
        settings = (
            f"views {rendering.AZIMUTHS} {rendering.ELEVATION} {rendering.SIDE} "
            f"{rendering.NEIGHBORS} log extents v2"
        )
        self.fingerprint = digest(image.fingerprint, settings)

    def __call__(self, clouds: list[np.ndarray]) -> np.ndarray:
        first = self._encode(clouds[:1])  # opens the networks, before the threads start
        if len(clouds) == 1:
            return first
        return np.concatenate([first, in_threads(self._encode, clouds[1:], 1)])

    def _encode(self, clouds: list[np.ndarray]) -> np.ndarray:
        (cloud,) = clouds
        features = self.image(rendering.render(cloud)).mean(axis=0)
        log_extent = np.log(np.maximum(np.ptp(cloud, axis=0), 1e-3))
        return np.concatenate([features, log_extent]).astype(np.float32)[None]


class MiniPoints(MiniSpace):
    """A multi-view point encoder aligned with images and names of the same objects, as in ULIP.

    Clouds are in meters, y up, as in the corpus. Size is a feature: a bed is not a matchbox.
    """

    name = "mini-points"
    modalities = ("points", "image", "text")
    backbone_names = ("image", "text")
    parts = {
        # The looks of a shape are learned from its icon.
        "points": Parts(scores=slice(EXTENTS, None), appearance=slice(0, EXTENTS)),
        "image": images.PARTS,
    }

    def features(self, modality: str, items: list) -> np.ndarray:
        if modality == "text":
            return self.backbone("text")(items)
        if modality == "image":
            return images.from_outputs(self.backbone("image")(items))
        raw = self._views()(items)
        parts = np.split(images.from_outputs(raw), [images.INNER], axis=1)
        return np.concatenate([parts[0], 0.3 * raw[:, -3:], parts[1]], axis=1).astype(np.float32)

    def classes(self, modality: str) -> list[tuple[str, ...]]:
        return list(images.class_descriptions())

    def _views(self) -> Cached:
        if "views" not in self._backbones:
            views = _Views(self.backbone("image").backbone)
            self._backbones["views"] = Cached(views, self.cache)
        return self._backbones["views"]
