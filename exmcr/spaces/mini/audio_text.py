"""A leaf: sounds and text."""

import numpy as np

from exmcr.spaces.mini.space import MiniSpace


class MiniAudioText(MiniSpace):
    """aiSFX and MiniLM, aligned on captioned sound effects and instruments."""

    name = "mini-audio-text"
    modalities = ("audio", "text")
    backbone_names = ("audio", "text")
    sizes = {"audio": 1728, "text": 384}
    semantic = {"text": slice(0, 384)}

    def features(self, modality: str, items: list) -> np.ndarray:
        if modality == "text":
            return self.backbone("text")(items)
        # Unit norm for each of the six kinds of features gives them equal weight.
        parts = np.split(self.backbone("audio")(items), np.cumsum([512, 512, 256, 256, 96]), axis=1)
        norms = [np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in parts]
        return np.concatenate([part / norm for part, norm in zip(parts, norms)], axis=1)
