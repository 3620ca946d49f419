"""The weights of TensorFlow Lite models, against models written here with its own schema."""

import flatbuffers
import numpy as np
import pytest
import tflite
import torch
from literal import convolved
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.spaces.mini.backbones import wheels, yamnet
from exmcr.spaces.mini.backbones.tflite_weights import read_layers

CODES = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 9, "SOFTMAX": 25}
NUMBERS = {np.dtype(np.float32): 0, np.dtype(np.int32): 2, np.dtype(np.int8): 9}


class Writer:
    """A TensorFlow Lite model of one graph."""

    def __init__(self):
        self.out = flatbuffers.Builder(1024)
        self.buffers, self.tensors, self.operators = [self.buffer(b"")], [], []

    def table(self, name, **fields):
        getattr(tflite, f"{name}Start")(self.out)
        for field, value in fields.items():
            getattr(tflite, f"{name}Add{field}")(self.out, value)
        return getattr(tflite, f"{name}End")(self.out)

    def offsets(self, values):
        self.out.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.out.PrependUOffsetTRelative(value)
        return self.out.EndVector()

    def numbers(self, values, dtype):
        return self.out.CreateNumpyVector(np.asarray(values, dtype))

    def buffer(self, content):
        return self.table("Buffer", Data=self.numbers(np.frombuffer(content, np.uint8), np.uint8))

    def tensor(self, values, scale=(), zero=(), axis=0):
        self.buffers.append(self.buffer(values.tobytes()))
        fields = {
            "Scale": self.numbers(scale, np.float32),
            "ZeroPoint": self.numbers(zero, np.int64),
        }
        quantization = self.table("QuantizationParameters", **fields, QuantizedDimension=axis)
        shape = self.numbers(values.shape, np.int32)
        kind, at = NUMBERS[values.dtype], len(self.buffers) - 1
        self.tensors.append(
            self.table("Tensor", Shape=shape, Type=kind, Buffer=at, Quantization=quantization)
        )
        return len(self.tensors) - 1

    def operator(self, kind, *inputs):
        at = list(CODES).index(kind)
        numbers = self.numbers(inputs, np.int32)
        self.operators.append(self.table("Operator", OpcodeIndex=at, Inputs=numbers))

    def write(self, path):
        codes = [
            self.table("OperatorCode", DeprecatedBuiltinCode=code, BuiltinCode=code)
            for code in CODES.values()
        ]
        tensors, operators = self.offsets(self.tensors), self.offsets(self.operators)
        graph = self.table("SubGraph", Tensors=tensors, Operators=operators)
        parts = {
            "OperatorCodes": self.offsets(codes),
            "Subgraphs": self.offsets([graph]),
            "Buffers": self.offsets(self.buffers),
        }
        self.out.Finish(self.table("Model", Version=3, **parts), file_identifier=b"TFL3")
        path.write_bytes(self.out.Output())
        return path


def quantized(values, axis):
    """Integers of eight bits, one scale for each index along `axis`, and what they stand for."""
    others = tuple(n for n in range(values.ndim) if n != axis)
    scale = (np.abs(values).max(axis=others) / 127).astype(np.float32)
    along = np.expand_dims(scale, others)
    integers = np.round(values / along).astype(np.int8)
    return integers, scale, integers * along


def test_weights_are_scale_times_integer_minus_zero_point(tmp_path):
    rng, model = np.random.default_rng(0), Writer()
    x = model.tensor(np.zeros((1, 4, 4, 2), np.int8), [0.5], [3])
    kernel, scale, expected = quantized(rng.normal(size=(5, 3, 3, 2)), 0)
    bias = rng.integers(-99, 99, 5).astype(np.int32)
    first = model.tensor(kernel, scale, np.zeros(5)), model.tensor(bias, scale / 2, np.zeros(5))
    model.operator("CONV_2D", x, *first)
    depth, depth_scale, depth_expected = quantized(rng.normal(size=(1, 3, 3, 5)), 3)
    second = model.tensor(depth, depth_scale, np.zeros(5), axis=3), model.tensor(bias, [0.25], [2])
    model.operator("DEPTHWISE_CONV_2D", x, *second)
    model.operator("SOFTMAX", x)
    plain = rng.normal(size=(2, 5)).astype(np.float32)
    model.operator("FULLY_CONNECTED", x, model.tensor(plain), model.tensor(plain[:, 0]))
    layers = read_layers(model.write(tmp_path / "model.tflite"))
    assert [layer.kind for layer in layers] == ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]
    np.testing.assert_allclose(layers[0].kernel, expected, rtol=1e-6)
    np.testing.assert_allclose(layers[0].bias, bias * scale / 2, rtol=1e-6)
    np.testing.assert_allclose(layers[1].kernel, depth_expected, rtol=1e-6)
    np.testing.assert_allclose(layers[1].bias, 0.25 * (bias - 2), rtol=1e-6)
    np.testing.assert_array_equal(layers[2].kernel, plain)
    assert all(part.dtype == np.float32 for layer in layers for part in layer[1:])


@pytest.mark.parametrize("cut", [0, 3, 20, 200, 1000, -1])
def test_a_damaged_model_is_one_error(tmp_path, cut):
    path = tmp_path / "model.tflite"
    content = wheels.weights(wheels.YAMNET_LITE).read_bytes()
    path.write_bytes(content[:cut] if cut >= 0 else b"\xff" * len(content))
    with pytest.raises(ConfigError, match="is no readable TensorFlow Lite model"):
        read_layers(path)


def reference(layers, x):
    """Layer by layer: TensorFlow's "same" padding, convolution, and values cut to 0 and 6."""
    strides = [2, *(stride for own in yamnet.STRIDES for stride in (own, 1))]
    x, middle = torch.tensor(x)[:, None], None
    for n, (layer, stride) in enumerate(zip(layers[:-1], strides, strict=True)):
        kernel, bias = torch.tensor(layer.kernel), torch.tensor(layer.bias)
        grouped = layer.kind == "DEPTHWISE_CONV_2D"
        weight = kernel.permute(3, 0, 1, 2) if grouped else kernel.permute(0, 3, 1, 2)
        x = convolved(x, weight, stride, grouped, bias).clamp(0, 6)
        if n == yamnet.MIDDLE_LAYER:
            middle = x.mean(3)
    features = x.mean((2, 3))
    logits = features @ torch.tensor(layers[-1].kernel).T + torch.tensor(layers[-1].bias)
    return torch.cat([features, middle.mean(2), middle.std(2, unbiased=False), logits], 1)


def test_the_second_yamnet_is_its_file_layer_by_layer():
    layers = [
        layer
        for layer in read_layers(wheels.weights(wheels.YAMNET_LITE))
        if layer.kernel.shape != (yamnet.BANDS, yamnet.FFT // 2 + 1)  # its log-mel patches
    ]
    model = yamnet.YamNet(nn.ReLU6).eval()
    model.fill_lite(layers)
    x = np.random.default_rng(0).normal(size=(2, 96, 64)).astype(np.float32)
    with torch.no_grad():
        torch.testing.assert_close(
            model(torch.tensor(x)), reference(layers, x), atol=1e-3, rtol=1e-3
        )


def test_its_log_mel_patches_are_ours():
    mel, *_ = read_layers(wheels.weights(wheels.YAMNET_LITE))
    np.testing.assert_allclose(mel.kernel.T, yamnet._mel_weights(), atol=1e-5)
    np.testing.assert_allclose(mel.bias, yamnet.FLOOR)


def test_layers_of_another_network_do_not_fit():
    layers = read_layers(wheels.weights(wheels.YAMNET_LITE))
    with pytest.raises(ValueError, match="shorter"):
        yamnet.YamNet(nn.ReLU6).fill_lite(layers[:-2])
    wrong = [*layers[:-1], layers[-1]._replace(bias=np.zeros(3, np.float32))]
    with pytest.raises(RuntimeError, match="head.bias"):
        yamnet.YamNet(nn.ReLU6).fill_lite(wrong)
