"""A backward-compatible projection learned from text alone: XBT (Jang and Lim, arXiv:2405.14715).

The paper upgrades a retrieval system: the embeddings of a new vision-language model are projected
to those of the old one, so that the old gallery need not be encoded again. The projection is
trained on texts only and then used for images. Here the leaf is the new model, the base the old
one, and the overlap the text. The second phase of the paper, on image-text pairs, has no data here.
"""

from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, Head, fitted, on_arrays, overlap_pairs
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce, intra_loss


def xbt(
    pools: Pools, seed: int = 0, *, hidden: int = 256, regress: float = 1.0, **settings
) -> Maps:
    """A head on the leaf, trained on the overlap with InfoNCE + regress * squared distance to the
    base vectors; the base is unchanged.

    The sum of the two terms, and the noise on inputs by which a head fitted on one modality serves
    another, are [assumed]. settings: overrides of networks.SETTINGS.
    """

    def loss(model: Head, batch: Batch, given: dict) -> Batch:
        projected, target = model(batch["x_leaf"]), batch["o_base"]
        total = infonce(projected, target, given["tau2"]) + regress * intra_loss(projected, target)
        return {"total": total}

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    head = fitted(lambda: Head(d_leaf, d_base, hidden), overlap_pairs(pools), seed, loss, settings)
    return Maps(leaf=on_arrays(head))


METHODS = {"xbt": Method(xbt, "arXiv:2405.14715", seeded=True)}
