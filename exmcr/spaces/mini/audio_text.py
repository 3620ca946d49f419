"""A leaf: sounds and words."""

import numpy as np

from exmcr.spaces.mini.space import MiniSpace


class MiniAudioText(MiniSpace):
    """aiSFX and MiniLM, aligned on captioned sound effects and instruments."""

    name = "mini-audio-text"
    modalities = ("audio", "text")
    backbone_names = ("audio", "text")
    sizes = {"audio": 1728, "text": 384}
    semantic = {"text": slice(0, 384)}

    def features(self, modality, items):
        if modality == "text":
            return self.backbone("text")(items)
        raw = self.backbone("audio")(items)
        # The six kinds of numbers weigh the same.
        parts = np.split(raw, np.cumsum([512, 512, 256, 256, 96]), axis=1)
        return np.concatenate(
            [p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-9) for p in parts], axis=1
        )
