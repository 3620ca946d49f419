"""YAMNet: a network for sounds, trained on the 521 classes of AudioSet.

Two trainings of it are public: one for TensorFlow, and one for TensorFlow Lite, whose activations
end at 6 and whose weights have eight bits.
"""

from functools import cache

import numpy as np
import torch
from scipy.fft import rfft
from torch import nn

from exmcr.spaces.mini.backbones.tflite_weights import Layer

RATE = 16_000  # Hz
WINDOW, HOP, FFT = 400, 160, 512  # samples
BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0  # mel bands; Hz
FLOOR = 0.001  # added before the logarithm
PATCH, PATCH_HOP = 96, 48  # frames; a patch is 0.96 s
LENGTH = (PATCH - 1) * HOP + WINDOW  # samples of a patch
FEATURES, CLASSES = 1024, 521
MIDDLE_LAYER, MIDDLE = 12, 2 * 512  # the first of 512 channels; mean and spread of each
NORM_EPS = 1e-4
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class YamNet(nn.Module):
    """Log-mel patches (n, 96, 64) -> (n, 1024 + 1024 + 521).

    The pooled features; mean and spread over time of a middle layer (512 each), which say more of
    the timbre and less of the classes; the class logits. A MobileNet v1. Source of the
    architecture: research/audioset/yamnet in TensorFlow's models.

    activation: ReLU in the training for TensorFlow, ReLU6 in that for TensorFlow Lite.
    """

    def __init__(self, activation: type[nn.Module] = nn.ReLU):
        super().__init__()
        layers, before = [_convolution(1, 32, 3, activation, stride=2)], 32
        for width, stride in zip(WIDTHS, STRIDES):
            layers += [
                _convolution(before, before, 3, activation, stride, groups=before),
                _convolution(before, width, 1, activation),
            ]
            before = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = self.body[: MIDDLE_LAYER + 1](x[:, None])
        over_time = middle.mean(dim=3)
        mean = over_time.mean(dim=2)
        spread = (over_time - mean[:, :, None]).square().mean(dim=2).sqrt()
        features = self.body[MIDDLE_LAYER + 1 :](middle).mean(dim=(2, 3))
        return torch.cat([features, mean, spread, self.head(features)], dim=1)

    def fill(self, tensors: dict[str, np.ndarray], prefix: str) -> None:
        """Load a checkpoint of TensorFlow: tensors of the layers prefix + "0" (convolution), "1"
        (its batch norm), "2" (convolution) and so on. Raises KeyError or RuntimeError if one does
        not fit."""

        def tensor(layer: int, name: str) -> torch.Tensor:
            return torch.tensor(tensors[f"{prefix}{layer}/{name}/.ATTRIBUTES/VARIABLE_VALUE"])

        state = {}
        for n, layer in enumerate(self.body):
            grouped = layer[1].groups > 1
            kernel = tensor(2 * n, "depthwise_kernel" if grouped else "kernel")
            # TensorFlow stores (height, width, in, out), or (height, width, channel, 1).
            state[f"body.{n}.1.weight"] = kernel.permute((2, 3, 0, 1) if grouped else (3, 2, 0, 1))
            names = ("beta", "moving_mean", "moving_variance")
            state |= _norm(n, *(tensor(2 * n + 1, name) for name in names))
        last = 2 * len(self.body)
        state["head.weight"], state["head.bias"] = tensor(last, "kernel").T, tensor(last, "bias")
        self.load_state_dict(state)

    def fill_lite(self, layers: list[Layer]) -> None:
        """Load the layers of a TensorFlow Lite model, whose batch norms are part of the
        convolutions. Raises ValueError or RuntimeError if they do not fit."""
        convolutions = [layer for layer in layers if layer.kind != "FULLY_CONNECTED"]
        state = {}
        for n, (own, layer) in enumerate(zip(self.body, convolutions, strict=True)):
            kernel, bias = torch.tensor(layer.kernel), torch.tensor(layer.bias)
            grouped = own[1].groups > 1
            state[f"body.{n}.1.weight"] = kernel.permute((3, 0, 1, 2) if grouped else (0, 3, 1, 2))
            unchanged = torch.zeros(len(bias)), torch.full((len(bias),), 1 - NORM_EPS)
            state |= _norm(n, bias, *unchanged)
        head = layers[-1]
        state["head.weight"], state["head.bias"] = map(torch.tensor, (head.kernel, head.bias))
        self.load_state_dict(state)


def _norm(n: int, beta: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> dict:
    """The state of the batch norm of a convolution, which has no scale."""
    return {
        f"body.{n}.2.weight": torch.ones(len(beta)),
        f"body.{n}.2.bias": beta,
        f"body.{n}.2.running_mean": mean,
        f"body.{n}.2.running_var": variance,
        f"body.{n}.2.num_batches_tracked": torch.tensor(0),
    }


def _convolution(
    inputs: int,
    outputs: int,
    side: int,
    activation: type[nn.Module],
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Padding as TensorFlow's "same": with stride 2 and an even input, as all are here, only at
    the end of each axis."""
    near = (side - 1) // 2 if stride == 1 else 0
    return nn.Sequential(
        nn.ZeroPad2d((near, (side - 1) // 2, near, (side - 1) // 2)),
        nn.Conv2d(inputs, outputs, side, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=NORM_EPS),
        activation(),
    )


def patches(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples at 16 kHz (n,), n >= 1 -> log-mel patches (m, 96, 64), root mean square of each (m,).

    Samples are repeated until the last patch is full: a short sound fills its only patch.
    """
    step = PATCH_HOP * HOP
    count = max(0, -(-(len(samples) - LENGTH) // step)) + 1
    filled = np.resize(samples, LENGTH + (count - 1) * step)
    mel = np.lib.stride_tricks.sliding_window_view(log_mel(filled), PATCH, axis=0)[::PATCH_HOP]
    parts = np.lib.stride_tricks.sliding_window_view(filled, LENGTH)[::step]
    loudness = np.sqrt((parts**2).mean(axis=1))
    return np.ascontiguousarray(mel.transpose(0, 2, 1)), loudness


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Samples at 16 kHz (n,), n >= 400 -> float32 (frames, 64)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    spectrum = np.abs(rfft(frames * window, FFT))
    return np.log(spectrum @ _mel_weights() + np.float32(FLOOR))


@cache
def _mel_weights() -> np.ndarray:
    """float32 (257, 64): triangles on the HTK mel scale, without a weight at 0 Hz."""

    def mel(hertz):
        return 1127 * np.log(1 + np.asarray(hertz) / 700)

    frequency = mel(np.linspace(0, RATE / 2, FFT // 2 + 1))[:, None]
    edges = np.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (frequency - low) / (middle - low), (high - frequency) / (high - middle)
    weights = np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
    weights[0] = 0
    return weights
