"""A projection that is compatible backwards, learned from text alone: XBT (Jang and Lim, arXiv:2405.14715).

The paper upgrades a retrieval system: a new vision-language model is projected to the old one's embeddings, so that the old
gallery need not be encoded again; the projection is trained on text only and then used on pictures. Here the leaf is the new
model, the base the old one, the overlap the text. The paper's second phase, on image-text pairs, has no data here."""

from exmcr.methods.maps import Maps
from exmcr.methods.networks import Head, fitted, on_arrays, overlap_pairs
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce, intra_loss


def xbt(
    pools: Pools, seed: int = 0, *, hidden: int = 256, regress: float = 1.0, **settings
) -> Maps:
    """A head on the leaf, trained on the overlap: InfoNCE plus regress * squared distance to the base's own vectors.

    That the two terms are added, and the noise on the inputs that lets a head fitted on one modality serve another, are
    [assumed]. The base is untouched. settings: see networks.SETTINGS."""

    def loss(model, batch, given):
        projected = model(batch["x_leaf"])
        return {
            "total": infonce(projected, batch["o_base"], given["tau2"])
            + regress * intra_loss(projected, batch["o_base"])
        }

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    return Maps(
        leaf=on_arrays(
            fitted(lambda: Head(d_leaf, d_base, hidden), overlap_pairs(pools), seed, loss, settings)
        )
    )
