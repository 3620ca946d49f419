"""PyTorch modules in ONNX Runtime."""

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import nn


def onnx_session(
    model: nn.Module, *examples: torch.Tensor, free: Sequence[int] = (0,)
) -> Callable[..., np.ndarray]:
    """Export a module with one output, and open it in ONNX Runtime on one thread.

    examples: its inputs. free: axes of the inputs, and of the output, that may have another length.
    Returns a function inputs -> output, which several threads may call at once: see `in_threads`.
    """
    # Some builds report how they are used, and note a device id below HOME when they are imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    buffer, names = io.BytesIO(), [f"x{n}" for n in range(len(examples))]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            examples,
            buffer,
            input_names=names,
            dynamic_axes={name: {axis: f"axis{axis}" for axis in free} for name in names},
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        buffer.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def in_threads(encode: Callable[[list[Any]], np.ndarray], items: list, size: int) -> np.ndarray:
    """Encode batches of `size` items, one per core at a time -> the rows of all.

    Faster than one batch on all cores: the convolutions are too small to be shared, and images are
    resized on all cores too. Small batches, since ONNX Runtime keeps the memory of the largest one,
    40 MB per image.
    """
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    cores = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    if cores == 1 or len(batches) == 1:
        return np.concatenate([encode(batch) for batch in batches])
    with ThreadPoolExecutor(cores) as pool:
        return np.concatenate(list(pool.map(encode, batches)))
