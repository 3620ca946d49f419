"""Two projectors and a contrastive loss, trained on the overlap: "From Unimodal to Multimodal" (arXiv:2409.19425).

The paper aligns a frozen vision and a frozen text encoder on image-text pairs; here the pairs are the items that leaf and
base both know. Both sides are projected, so the base does not stay as it is."""

from torch import nn

from exmcr.methods.maps import Maps
from exmcr.methods.networks import Head, fitted, on_arrays, overlap_pairs
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


class Projectors(nn.Module):
    """A head for each side into a new common space."""

    def __init__(self, d_leaf: int, d_base: int, out: int, hidden: int):
        super().__init__()
        self.leaf = Head(d_leaf, out, hidden)
        self.base = Head(d_base, out, hidden)


def unimodal(pools: Pools, seed: int = 0, *, out: int = 256, hidden: int = 256, **settings) -> Maps:
    """Symmetric InfoNCE between leaf head and base head over the overlap items.

    The paper's heads are residual MLPs with a learned temperature [assumed]; here the temperature tau2 is fixed.
    settings: see networks.SETTINGS."""

    def loss(model, batch, given):
        return {
            "total": infonce(
                model.leaf(batch["x_leaf"]), model.base(batch["o_base"]), given["tau2"]
            )
        }

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    model = fitted(
        lambda: Projectors(d_leaf, d_base, out, hidden), overlap_pairs(pools), seed, loss, settings
    )
    return Maps(leaf=on_arrays(model.leaf), base=on_arrays(model.base))
