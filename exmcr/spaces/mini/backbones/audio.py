"""Sounds: aiSFX."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from exmcr.common.hashing import digest
from exmcr.media.sounds import Sound
from exmcr.spaces.mini.backbones import wheels
from exmcr.spaces.mini.backbones.runtime import onnx_session


class AudioBackbone:
    """Sounds -> float32 (n, 1728). A sound is cut into half-overlapping blocks of 2.3 s:

    512 + 512   mean and maximum over blocks of the aiSFX embedding
    256 + 256   mean over blocks of the mean and spread over time of its third layer
    96 + 96     mean and spread over time of the log-mel bands
    """

    size = 512 + 512 + 256 + 256 + 96 + 96
    rate, window, hop, bands, block = 44100, 2048, 1024, 96, 100
    seconds = 10.0  # longer sounds are cut
    # Largest log-mel value of the network's training data, from aisfx/preprocessing.py.
    top = 9.457798957824707

    def __init__(self):
        self.fingerprint = digest(
            wheels.weights(wheels.AISFX),
            "aisfx librosa mel, half-overlapping blocks, mean+max, third layer, mel statistics, v2",
        )

    @cached_property
    def _session(self) -> Callable[[np.ndarray], np.ndarray]:
        model, prefix = SoundNet(), "embedding_net."
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            path = wheels.weights(wheels.AISFX)
            state, _ = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
        return onnx_session(model, torch.zeros(2, self.block, self.bands))

    def mel(self, sound: Sound) -> np.ndarray:
        """Sound -> float32 (frames, 96): log10(1 + 10000 mel power) of the peak-normalized sound,
        scaled as in the training of the network."""
        import librosa
        import soxr

        samples = sound.samples[: int(self.seconds * sound.rate)]
        if sound.rate != self.rate:
            samples = soxr.resample(samples, sound.rate, self.rate)
        samples = samples / max(float(np.abs(samples).max()), 1e-6)
        power = librosa.feature.melspectrogram(
            y=samples,
            sr=self.rate,
            n_fft=self.window,
            hop_length=self.hop,
            n_mels=self.bands,
            fmin=0,
            fmax=self.rate / 2,
            htk=True,
            norm=1,
        )
        return (np.log10(1 + 10_000 * power) / self.top).T.astype(np.float32)

    def __call__(self, sounds: list[Sound]) -> np.ndarray:
        mels = [self.mel(sound) for sound in sounds]
        cut = [self._blocks(mel) for mel in mels]
        blocks = np.concatenate(cut)
        outputs = np.concatenate(
            [self._session(blocks[i : i + 16]) for i in range(0, len(blocks), 16)]
        )
        ends = np.cumsum([len(part) for part in cut])
        rows = [
            np.concatenate(
                [
                    own[:, :512].mean(0),
                    own[:, :512].max(0),
                    own[:, 512:].mean(0),
                    mel.mean(0),
                    mel.std(0),
                ]
            )
            for mel, own in zip(mels, np.split(outputs, ends[:-1]), strict=True)
        ]
        return np.stack(rows).astype(np.float32)

    def _blocks(self, mel: np.ndarray) -> np.ndarray:
        """(frames, 96) -> (blocks, 100, 96), the last one padded with zeros."""
        pieces = [
            mel[start : start + self.block]
            for start in range(0, max(1, len(mel) - self.block // 2), self.block // 2)
        ]
        return np.stack([np.pad(p, ((0, self.block - len(p)), (0, 0))) for p in pieces])


class SoundNet(nn.Module):
    """The embedding network of aiSFX: four blocks of two 3x3 convolutions, then the mean over bands
    and the maximum over time.

    (n, frames, 96) -> (n, 1024): the embedding (512), then mean and spread over time of the third
    block (256 each), which contain more of the timbre and less of the training categories. Layer
    names are those of the released weights. Source of the architecture: Cnn9, arXiv:1808.00773.
    """

    def __init__(self):
        super().__init__()
        widths = (1, 64, 128, 256, 512)
        for n in range(4):
            self.add_module(f"conv_block{n + 1}", _ConvBlock(widths[n], widths[n + 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None]
        for n in range(3):
            x = nn.functional.max_pool2d(self.get_submodule(f"conv_block{n + 1}")(x), 2)
        third = x.mean(dim=3)
        spread = (third - third.mean(dim=2, keepdim=True)).square().mean(dim=2).sqrt()
        embedding = self.get_submodule("conv_block4")(x).mean(dim=3).amax(dim=2)
        return torch.cat([embedding, third.mean(dim=2), spread], dim=1)


class _ConvBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()


# The checkpoint stores class counts as numpy integers; everything else in it is tensors. The second
# name is that of numpy 2.
_SCALAR = np.int64(0).__reduce__()[0]
_NUMPY_SCALARS: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.int64)),
    type(np.dtype(np.float64)),
]
