"""The base: images and text."""

import numpy as np

from exmcr.spaces.mini import images
from exmcr.spaces.mini.space import MiniSpace


class MiniImageText(MiniSpace):
    """EfficientNet-Lite0 and -Lite2 and MiniLM, aligned on captioned drawings and photographs."""

    name = "mini-image-text"
    modalities = ("image", "text")
    backbone_names = ("image", "text")
    parts = {"image": images.PARTS}

    def features(self, modality: str, items: list) -> np.ndarray:
        if modality == "text":
            return self.backbone("text")(items)
        return images.from_outputs(self.backbone("image")(items))

    def classes(self, modality: str) -> list[tuple[str, ...]]:
        return list(images.class_descriptions())
