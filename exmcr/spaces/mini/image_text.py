"""The base: images and text."""

import numpy as np

from exmcr.spaces.mini.space import IMAGE, IMAGE_WORDS, MiniSpace, image_features


class MiniImageText(MiniSpace):
    """EfficientNet-Lite0 and -Lite2 and MiniLM, aligned on captioned drawings and photographs."""

    name = "mini-image-text"
    modalities = ("image", "text")
    backbone_names = ("image", "text")
    sizes = {"image": IMAGE, "text": 384}
    semantic = {"image": IMAGE_WORDS, "text": slice(0, 384)}

    def features(self, modality: str, items: list) -> np.ndarray:
        return image_features(self, items) if modality == "image" else self.backbone("text")(items)
