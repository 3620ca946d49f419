"""A leaf: sounds and text."""

import numpy as np

from exmcr.spaces.mini.backbones import audio
from exmcr.spaces.mini.space import MiniSpace
from exmcr.spaces.mini.towers import Parts
from exmcr.spaces.mini.vectors import unit_parts

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
        scaled = unit_parts(raw[:, :INNER], audio.AudioBackbone.widths)
        return np.concatenate([scaled, raw[:, INNER:]], axis=1)

    def classes(self, modality: str) -> list[tuple[str, ...]]:
        return [(name,) for name in audio.class_names()]
