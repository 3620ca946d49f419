"""A trainable hop: the structural embedding of Ovis (Lu et al., arXiv:2405.20797).

Ovis gives images an embedding table, as texts have one: a visual token is a softmax over visual
words, and its embedding is the mean of the rows of the table with these weights. Here the words are
overlap items. Logits and table start as those of the hop, and both are trained. CLSR (Hu et al.,
arXiv:2511.09282), which turns speech into text-like vectors before it aligns them, is the same
thing on one vector per item.
"""

import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays, pseudo_pairs
from exmcr.methods.vocabulary import drawn, tensor
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


class Embedding(nn.Module):
    """normalize(softmax(x K^T / tau) T): (n, d_leaf) -> (n, d_base), unit rows.

    keys: (k, d_leaf), the initial K; table: (k, d_base), the initial T.
    """

    def __init__(self, keys: torch.Tensor, table: torch.Tensor, tau: float):
        super().__init__()
        self.keys, self.table, self.tau = nn.Parameter(keys), nn.Parameter(table), tau

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normalize((x @ self.keys.T / self.tau).softmax(dim=1) @ self.table, dim=1)


def ovis(
    pools: Pools,
    seed: int = 0,
    *,
    words: int = 2048,
    tau: float = 0.05,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """The trainable hop, with InfoNCE of x' against y^B and of o' against o^B on pseudo-pairs; the
    base is unchanged.

    words  overlap items that serve as words, drawn by `seed`
    tau    temperature of the softmax

    With steps as low as 1 it is the hop over these words. The paper trains by captioning
    [contrastive loss: ours]. settings: overrides of networks.SETTINGS.
    """
    rows = drawn(pools, words, seed)

    def loss(model: Embedding, batch: Batch, given: dict) -> Batch:
        across = infonce(model(batch["x_leaf"]), batch["y_base"], given["tau2"])
        return {"total": across + infonce(model(batch["o_leaf"]), batch["o_base"], given["tau2"])}

    pool = pseudo_pairs(pools, ["overlap", "leaf", "base"], tau1)
    build = lambda: Embedding(tensor(pools.o_leaf[rows]), tensor(pools.o_base[rows]), tau)
    return Maps(leaf=on_arrays(fitted(build, pool, seed, loss, settings)))


METHODS = {"ovis": Method(ovis, "arXiv:2405.20797, 2511.09282", seeded=True)}
