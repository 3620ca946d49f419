"""A leaf: sounds and words."""

import numpy as np

from exmcr.spaces.mini.space import MiniSpace


class MiniAudioText(MiniSpace):
    """aiSFX and MiniLM, aligned on captioned sound effects and instruments."""

    name = "mini-audio-text"
    modalities = ("audio", "text")
    backbone_names = ("audio", "text")
    sizes = {"audio": 1216, "text": 384}
    semantic = {"text": slice(0, 384)}

    def features(self, modality, items):
        if modality == "text":
            return self.backbone("text")(items)
        raw = self.backbone("audio")(items)
        # Four kinds of numbers (mean and maximum over blocks, mean and spread of bands) weigh the same.
        parts = [raw[:, :512], raw[:, 512:1024], raw[:, 1024:1120], raw[:, 1120:]]
        return np.concatenate([p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-9) for p in parts], axis=1)
