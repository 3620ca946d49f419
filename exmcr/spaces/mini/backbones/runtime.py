"""PyTorch modules in ONNX Runtime."""

import contextlib
import io
import os
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import nn


def onnx_session(model: nn.Module, example: torch.Tensor) -> Callable[[np.ndarray], np.ndarray]:
    """Export a module with one input and one output, and open it in ONNX Runtime on all cores.

    example: an input; its first axis is free. Returns a function input -> output.
    """
    import onnxruntime

    buffer = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (example,),
            buffer,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        buffer.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    return lambda x: session.run(None, {"x": x})[0]
