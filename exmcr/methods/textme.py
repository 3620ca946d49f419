"""Training on the overlap alone, with centered inputs: TextME (Hong et al., arXiv:2602.03098).

A projector learns to map texts of a contrastive encoder to an anchor space. Before the projector,
the mean of the modality is subtracted: that of the texts in training, that of the sounds at use.
The modality gap is nearly a constant offset, so the projector then serves the other modality too.
The anchor of the paper is the embedding space of a language model; here it is the base, which has
no projector of its own.
"""

import numpy as np
import torch

from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, Head, fitted, on_arrays
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


def centered(vectors: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """normalize(v - mean), float32 (n, d)."""
    return unit(np.asarray(vectors, np.float32) - mean)


def textme(pools: Pools, seed: int = 0, *, hidden: int = 256, **settings) -> Maps:
    """A head from centered overlap items of the leaf to the base, with symmetric InfoNCE; the base
    is unchanged.

    The hard negatives of the paper are left out. settings: overrides of networks.SETTINGS.
    """
    x_mean, o_mean = (np.asarray(v, np.float64).mean(axis=0) for v in (pools.x_leaf, pools.o_leaf))
    pairs = {
        "x_leaf": torch.from_numpy(centered(pools.o_leaf, o_mean)),
        "o_base": torch.from_numpy(np.array(pools.o_base, np.float32)),
    }

    def loss(model: Head, batch: Batch, given: dict) -> Batch:
        return {"total": infonce(model(batch["x_leaf"]), batch["o_base"], given["tau2"])}

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    head = on_arrays(fitted(lambda: Head(d_leaf, d_base, hidden), pairs, seed, loss, settings))
    return Maps(leaf=lambda x: head(centered(x, x_mean)))


METHODS = {"textme": Method(textme, "arXiv:2602.03098", seeded=True)}
