"""Assignment prediction: VLAP (Park, Lee and Sohn, ICLR 2024, arXiv:2404.09632).

The paper maps image features to the word embeddings of a language model by one linear layer. Image
and caption are assigned to the words by optimal transport, and the assignment of one is predicted
from the other. Here the words are overlap items in the base, and pseudo-pairs take the place of
captioned images. The second objective of the paper, captioning, has no counterpart among frozen
embeddings.
"""

import torch
from torch.nn.functional import log_softmax

from exmcr.methods.baselines import rotation
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays, pseudo_pairs
from exmcr.methods.vocabulary import Linear, drawn, tensor
from exmcr.pairing.pools import Pools


class Assigned(Linear):
    """The linear map, with the words (k, d_base) and their frequencies (k,) beside it."""

    words: torch.Tensor
    frequency: torch.Tensor

    def __init__(self, start, words: torch.Tensor, frequency: torch.Tensor):
        super().__init__(start)
        self.register_buffer("words", words)
        self.register_buffer("frequency", frequency)


@torch.no_grad()
def assignment(
    scores: torch.Tensor, frequency: torch.Tensor, epsilon: float, rounds: int = 3
) -> torch.Tensor:
    """Soft assignments of n items to k words by Sinkhorn's algorithm: (n, k), rows of sum 1.

    scores     (n, k), similarities
    frequency  (k,), the share of items that each word receives: positive, sum 1
    epsilon    regularization: the lower, the harder the assignment
    """
    plan = ((scores - scores.max()) / epsilon).exp()
    for _ in range(rounds):
        plan = plan / plan.sum(dim=0).clamp_min(1e-30) * frequency
        plan = plan / plan.sum(dim=1, keepdim=True).clamp_min(1e-30)
    return plan


def vlap(
    pools: Pools,
    seed: int = 0,
    *,
    words: int = 1024,
    epsilon: float = 0.05,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """A linear map that predicts the assignments of the paired base vectors; the base is unchanged.

    words    overlap items that serve as words, drawn by `seed`
    epsilon  of `assignment` [assumed]; tau2 is the temperature of the prediction

    The map starts as the Procrustes rotation [ours: the pools are small]. The prediction of x from
    base vectors has no gradient, since the base is frozen. The frequency of a word is its mean
    softmax weight over the overlap items; the paper counts words. settings: overrides of
    networks.SETTINGS.
    """
    vocabulary = tensor(pools.o_base[drawn(pools, words, seed)])
    frequency = (tensor(pools.o_base) @ vocabulary.T / epsilon).softmax(dim=1).mean(dim=0)

    def loss(model: Assigned, batch: Batch, given: dict) -> Batch:
        targets = [
            assignment(batch[part] @ model.words.T, model.frequency, epsilon)
            for part in ("o_base", "y_base")
        ]
        target = torch.stack(targets).mean(dim=0)
        terms = []
        for part in ("x_leaf", "o_leaf"):
            scores = model(batch[part]) @ model.words.T
            terms.append(-(target * log_softmax(scores / given["tau2"], dim=1)).sum(dim=1).mean())
        return {"total": terms[0] + terms[1]}

    start = rotation(pools.o_leaf, pools.o_base)
    pool = pseudo_pairs(pools, ["overlap", "leaf", "base"], tau1)
    build = lambda: Assigned(start, vocabulary, frequency)
    return Maps(leaf=on_arrays(fitted(build, pool, seed, loss, settings)))


METHODS = {"vlap": Method(vlap, "arXiv:2404.09632", seeded=True)}
