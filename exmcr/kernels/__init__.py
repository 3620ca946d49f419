"""Fast twins of plain code, each tested for equality with it (tests/kernels/test_parity.py).

aggregate.py  softmax aggregation in tiles, without the n x m weights
search.py     exact top-k in tiles
tiles.py      the loop over tiles that these two share
contrast.py   all InfoNCE terms of a batch from one matrix product, with their gradient
layers.py     linear layers and normalization in oneDNN; batch normalization over ranks
gpu.py        feeding a GPU, and a training step as one CUDA graph

One switch governs the kernels that replace plain code of `pairing/` and `training/`:

    with kernels.plain():
        ...

runs the plain code instead; EXMCR_PLAIN=1 does so for a whole process. Training between ranks
always uses the kernels, since the plain losses cover only the batch of one process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_enabled = os.environ.get("EXMCR_PLAIN", "") in ("", "0")


def enabled() -> bool:
    """Whether kernels replace the plain code."""
    return _enabled


@contextmanager
def plain() -> Iterator[None]:
    """Run the plain code inside the block."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before
