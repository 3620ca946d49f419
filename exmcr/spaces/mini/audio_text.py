"""A leaf: sounds and text."""

import numpy as np

from exmcr.spaces.mini.backbones import audio
from exmcr.spaces.mini.space import MiniSpace
from exmcr.spaces.mini.towers import Parts

INNER, SIZE = audio.AudioBackbone.inner, audio.AudioBackbone.size


class MiniAudioText(MiniSpace):
    """Two YAMNets and MiniLM, aligned on captioned sound effects and instruments."""

    name = "mini-audio-text"
    modalities = ("audio", "text")
    backbone_names = ("audio", "text")
    parts = {"audio": Parts(scores=slice(INNER, SIZE), appearance=slice(0, INNER))}

    def features(self, modality: str, items: list) -> np.ndarray:
        if modality == "text":
            return self.backbone("text")(items)
        raw = self.backbone("audio")(items)
        # Unit norm for each kind of features gives them equal weight.
        parts = np.split(raw[:, :INNER], np.cumsum(audio.AudioBackbone.widths)[:-1], axis=1)
        norms = [np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in parts]
        scaled = [part / norm for part, norm in zip(parts, norms)]
        return np.concatenate([*scaled, raw[:, INNER:]], axis=1)

    def classes(self, modality: str) -> list[tuple[str, ...]]:
        return [(name,) for name in audio.class_names()]
