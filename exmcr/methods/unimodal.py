"""Two projectors trained on the overlap with a contrastive loss: "From Unimodal to Multimodal"
(arXiv:2409.19425).

The paper aligns a frozen vision and a frozen text encoder on image-text pairs; here the pairs are
the overlap items in leaf and base. Both sides are projected, so the base changes.
"""

from torch import nn

from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, Head, fitted, on_arrays, overlap_pairs
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

    The heads of the paper are residual MLPs with a learned temperature [assumed]; here the
    temperature tau2 is fixed. settings: overrides of networks.SETTINGS.
    """

    def loss(model: Projectors, batch: Batch, given: dict) -> Batch:
        leaf, base = model.leaf(batch["x_leaf"]), model.base(batch["o_base"])
        return {"total": infonce(leaf, base, given["tau2"])}

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    pairs = overlap_pairs(pools)
    model = fitted(lambda: Projectors(d_leaf, d_base, out, hidden), pairs, seed, loss, settings)
    return Maps(leaf=on_arrays(model.leaf), base=on_arrays(model.base))


METHODS = {"unimodal": Method(unimodal, "arXiv:2409.19425", seeded=True)}
