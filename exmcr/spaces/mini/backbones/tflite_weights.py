"""Read the weights of a TensorFlow Lite model, without its runtime.

Weights are stored as integers of eight bits: a value is scale * (integer - zero point), with one
scale for each output channel. Source of the format: schema.fbs of TensorFlow Lite, whose classes
are in the package `tflite`.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from exmcr.common.errors import ConfigError

TYPES = {0: np.float32, 2: np.int32, 9: np.int8}  # numbers of tflite.TensorType


class Layer(NamedTuple):
    """A layer with weights, as float32.

    kind    name of its operator: CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED
    kernel  (out, height, width, in), (1, height, width, channels) or (out, in)
    bias    (out,)
    """

    kind: str
    kernel: np.ndarray
    bias: np.ndarray


def read_layers(path: Path) -> list[Layer]:
    """The layers of a model in the order in which they run. Other operators are left out.

    Raises ConfigError if the file is damaged or has weights of another type.
    """
    try:
        return list(_layers(path.read_bytes()))
    except (IndexError, ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise ConfigError(f"{path} is no readable TensorFlow Lite model: {error}") from error


def _layers(content: bytes) -> Iterator[Layer]:
    import tflite

    if not tflite.Model.ModelBufferHasIdentifier(content, 0):
        raise ValueError("it has no identifier TFL3")
    model = tflite.Model.GetRootAs(content, 0)
    graph: Any = model.Subgraphs(0)
    for n in range(graph.OperatorsLength()):
        operator = graph.Operators(n)
        code: Any = model.OperatorCodes(operator.OpcodeIndex())
        kind = tflite.opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            kernel, bias = (_values(model, graph.Tensors(operator.Inputs(k))) for k in (1, 2))
            yield Layer(kind, kernel, bias)


def _values(model: Any, tensor: Any) -> np.ndarray:
    """A constant tensor as float32."""
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    shape = tensor.ShapeAsNumpy()
    values = np.frombuffer(data, TYPES[tensor.Type()]).reshape(shape).astype(np.float32)
    quantization = tensor.Quantization()
    if not quantization or not quantization.ScaleLength():
        return values
    along = [1] * len(shape)
    along[quantization.QuantizedDimension()] = -1
    zero, scale = (
        numbers.astype(np.float32).reshape(along if len(numbers) > 1 else [1] * len(shape))
        for numbers in (quantization.ZeroPointAsNumpy(), quantization.ScaleAsNumpy())
    )
    return scale * (values - zero)
