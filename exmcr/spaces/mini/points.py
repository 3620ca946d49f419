"""A leaf: point clouds, pictures of objects and words."""

import numpy as np

from exmcr.common.hashing import digest
from exmcr.media import rendering
from exmcr.spaces.mini.features import Cached
from exmcr.spaces.mini.space import IMAGE, IMAGE_WORDS, MiniSpace, image_features, looked


class _Views:
    """Point cloud -> pictures from three sides -> mean of their backbone features, and the object's size."""

    def __init__(self, image_backbone: Cached):
        self.image = image_backbone.backbone
        self.size = self.image.size + 3
        settings = f"views {rendering.AZIMUTHS} {rendering.ELEVATION} {rendering.SIDE} {rendering.NEIGHBORS} log extents v2"
        self.fingerprint = digest(self.image.fingerprint, settings)

    def __call__(self, clouds: list[np.ndarray]) -> np.ndarray:
        pictures = [picture for cloud in clouds for picture in rendering.render(cloud)]
        seen = self.image(pictures).reshape(len(clouds), len(rendering.AZIMUTHS), -1).mean(axis=1)
        extent = np.stack([np.ptp(cloud, axis=0) for cloud in clouds])
        return np.concatenate([seen, np.log(np.maximum(extent, 1e-3))], axis=1).astype(np.float32)


class MiniPoints(MiniSpace):
    """A multi-view point encoder aligned to pictures and names of the same objects, as ULIP aligns its own.

    Clouds are in meters, y up, as the corpus stores them; size is a feature (a bed is not a matchbox)."""

    name = "mini-points"
    modalities = ("points", "image", "text")
    backbone_names = ("image", "text")
    sizes = {"points": IMAGE + 3, "image": IMAGE, "text": 384}
    semantic = {"points": IMAGE_WORDS, "image": IMAGE_WORDS, "text": slice(0, 384)}

    def features(self, modality, items):
        if modality == "text":
            return self.backbone("text")(items)
        if modality == "image":
            return image_features(self, items)
        if "views" not in self._backbones:
            self._backbones["views"] = Cached(
                _Views(self.backbone("image")), self.root / "data/features"
            )
        raw = self._backbones["views"](items)
        return np.concatenate([looked(raw[:, :-3], self), 0.1 * raw[:, -3:]], axis=1).astype(
            np.float32
        )
