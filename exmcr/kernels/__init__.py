"""Fast twins of plain code, each tested for equality with it.

aggregate.py  softmax aggregation in tiles, without the n x m weights
search.py     exact top-k in tiles
contrast.py   all InfoNCE terms of a batch from one matrix product, with their gradient
layers.py     linear layers and normalization on oneDNN; batch normalization over ranks
gpu.py        feeding a GPU, and a training step as one CUDA graph

One switch governs those that replace plain code of `pairing/` and `training/`:

    with kernels.plain():
        ...

runs the plain form instead; EXMCR_PLAIN=1 does so for a whole process. Between ranks the kernels
always run: the plain losses cover the batch of one process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_enabled = os.environ.get("EXMCR_PLAIN", "") in ("", "0")


def enabled() -> bool:
    """Whether kernels take the place of plain code."""
    return _enabled


@contextmanager
def plain() -> Iterator[None]:
    """Run the plain code for the duration of the block."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before
