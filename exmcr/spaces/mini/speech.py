"""A leaf: speech and text, and how it is fitted. Opt-in: docs/speech.md."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.spaces.mini import fit, towers
from exmcr.spaces.mini.backbones.speech import SpeechBackbone
from exmcr.spaces.mini.features import Cached
from exmcr.spaces.mini.space import MiniSpace
from exmcr.spaces.mini.towers import Parts

# No classifier names what is said: all speech has one class, whose sentence vector is zero, so that
# the regression alone decides.
UNNAMED = {"names": 1, "power": 1.0, "prior": 1.0, "looks": 0.0, "steps": 0}


class MiniSpeechText(MiniSpace):
    """Whisper's encoder and MiniLM, aligned on captions read aloud. Text is English throughout."""

    name = "mini-speech-text"
    modalities = ("speech", "text")
    backbone_names = ("speech", "text")
    parts = {
        "speech": Parts(
            scores=slice(SpeechBackbone.size, SpeechBackbone.size + 1),
            appearance=slice(0, SpeechBackbone.size),
        )
    }

    def backbone(self, name: str) -> Cached:
        if name == "speech" and name not in self._backbones:
            self._backbones[name] = Cached(SpeechBackbone(), self.cache)
        return super().backbone(name)

    def features(self, modality: str, items: list) -> np.ndarray:
        features = self.backbone(modality)(items)
        return (
            features
            if modality == "text"
            else np.pad(features, ((0, 0), (0, 1)), constant_values=1)
        )

    def _names(self, modality: str) -> np.ndarray:
        return np.zeros((1, towers.TEXT), np.float32)


def fit_speech_text(items: pd.DataFrame, root: Path, settings: dict[str, Any]) -> list[dict]:
    """Fit the speech leaf on captions read aloud. See exmcr.spaces.mini.fit.fit_image_text.

    Raises ConfigError without settings: they are opt-in.
    """
    if not settings:
        raise ConfigError("fit_spaces.speech_text: is missing; docs/speech.md has its values")
    space = MiniSpeechText.untrained(root)
    speech, rows = fit.features_of(space, fit.training_items(items, "speech"), root / "data")
    texts = fit.Texts(space, rows)
    captioned = fit.captioned(speech, texts, rows)
    return space.fit(texts.vectors, {"speech": captioned}, settings | UNNAMED)
