"""A leaf: point clouds, images of objects and text."""

import numpy as np

from exmcr.common.hashing import digest
from exmcr.media import rendering
from exmcr.spaces.mini.features import Backbone, Cached
from exmcr.spaces.mini.space import IMAGE, IMAGE_WORDS, MiniSpace, from_outputs, image_features


class _Views:
    """Clouds (n, 3) -> float32 (n, 3563): image features averaged over three rendered views, and
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
        views = [view for cloud in clouds for view in rendering.render(cloud)]
        features = self.image(views).reshape(len(clouds), len(rendering.AZIMUTHS), -1).mean(axis=1)
        extent = np.stack([np.ptp(cloud, axis=0) for cloud in clouds])
        log_extent = np.log(np.maximum(extent, 1e-3))
        return np.concatenate([features, log_extent], axis=1).astype(np.float32)


class MiniPoints(MiniSpace):
    """A multi-view point encoder aligned with images and names of the same objects, as in ULIP.

    Clouds are in meters, y up, as in the corpus. Size is a feature: a bed is not a matchbox.
    """

    name = "mini-points"
    modalities = ("points", "image", "text")
    backbone_names = ("image", "text")
    sizes = {"points": IMAGE + 3, "image": IMAGE, "text": 384}
    semantic = {"points": IMAGE_WORDS, "image": IMAGE_WORDS, "text": slice(0, 384)}

    def features(self, modality: str, items: list) -> np.ndarray:
        if modality == "text":
            return self.backbone("text")(items)
        if modality == "image":
            return image_features(self, items)
        raw = self._views()(items)
        parts = [from_outputs(raw[:, :-3], self), 0.1 * raw[:, -3:]]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _views(self) -> Cached:
        if "views" not in self._backbones:
            views = _Views(self.backbone("image").backbone)
            self._backbones["views"] = Cached(views, self.cache)
        return self._backbones["views"]
