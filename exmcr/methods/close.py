"""Training on texts alone: CLOSE ("I Can't Believe There's No Images!", Gu et al., ICCV 2023,
arXiv:2211.09778).

A head trained on text embeddings is used on image embeddings of the same contrastive space. To
bridge their gap, noise is added to the texts, isotropic or shaped like the differences of pairs,
and the mean difference is added. Here the texts are overlap items in the leaf, and the head leads
to the base. `xbt` is the same with isotropic noise and without the shift.
"""

import numpy as np
import torch

from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, Head, fitted, on_arrays, overlap_pairs, pseudo_pairs
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


def disguised(
    overlap: np.ndarray, differences: np.ndarray, shape: float, shift: float, seed: int
) -> np.ndarray:
    """Overlap items (n, d) moved to where x lies: normalize(o + shift * mean + noise), float32.

    differences: (m, d), x - o of pseudo-pairs. Noise is Gaussian, with `shape` times their
    covariance; it is drawn by `seed` as random mixtures of the centered differences, which needs no
    decomposition.
    """
    mean = differences.mean(axis=0, dtype=np.float64)
    centered = (differences - mean).astype(np.float32)
    draw = np.random.default_rng(seed)
    noise = np.empty_like(overlap, dtype=np.float32)
    for begin in range(0, len(overlap), 2048):
        part = noise[begin : begin + 2048]
        weights = draw.standard_normal((len(part), len(centered)), dtype=np.float32)
        part[:] = weights @ centered / len(centered) ** 0.5
    return unit(overlap + shift * mean + shape**0.5 * noise)


def close(
    pools: Pools,
    seed: int = 0,
    *,
    shape: float = 1.0,
    shift: float = 1.0,
    hidden: int = 256,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """A head trained with InfoNCE on disguised overlap items; the base is unchanged.

    shape  variance of the shaped noise, relative to the covariance of x - o
    shift  share of the mean of x - o that is added
    noise  (of the settings) variance of isotropic noise per dimension

    The paper takes the differences of paired images and texts; here they are those of leaf-centered
    pseudo-pairs. settings: overrides of networks.SETTINGS.
    """
    quadruples = pseudo_pairs(pools, ["leaf"], tau1)
    differences = (quadruples["x_leaf"] - quadruples["o_leaf"]).numpy()
    pool = overlap_pairs(pools)
    moved = disguised(pools.o_leaf, differences, shape, shift, seed)
    pool["x_leaf"] = torch.from_numpy(moved)

    def loss(model: Head, batch: Batch, given: dict) -> Batch:
        return {"total": infonce(model(batch["x_leaf"]), batch["o_base"], given["tau2"])}

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    return Maps(
        leaf=on_arrays(fitted(lambda: Head(d_leaf, d_base, hidden), pool, seed, loss, settings))
    )


METHODS = {"close": Method(close, "arXiv:2211.09778", seeded=True)}
