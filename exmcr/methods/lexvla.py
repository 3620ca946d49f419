"""Sparse lexical codes: LexVLA (Li et al., NeurIPS 2024, arXiv:2407.17827).

An item is described by how strongly each word of a vocabulary applies to it; both sides have a
codebook over the same words, that of the texts frozen, that of the images trained. An overuse
penalty keeps words that apply to everything from being used. Here the words are overlap items: the
frozen codebook holds them in the base, the trained one starts with them in the leaf. The base
changes: it too is described by words. Without training this is close to ASIF.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, fitted, on_arrays, pseudo_pairs
from exmcr.methods.vocabulary import drawn, tensor
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


class Lexicon(nn.Module):
    """Codes of leaf and base over k words: (n, d) -> (n, k), unit rows, none negative."""

    frozen: torch.Tensor

    def __init__(self, keys: torch.Tensor, frozen: torch.Tensor, scale: float, keep: int):
        super().__init__()
        self.keys, self.scale, self.keep = nn.Parameter(keys), scale, min(keep, len(keys))
        self.register_buffer("frozen", frozen)

    def leaf(self, x: torch.Tensor) -> torch.Tensor:
        return self._code(x @ self.keys.T)

    def base(self, y: torch.Tensor) -> torch.Tensor:
        return self._code(y @ self.frozen.T)

    def _code(self, scores: torch.Tensor) -> torch.Tensor:
        """The `keep` largest scores relative to the best of them, the rest zero."""
        best = scores.topk(self.keep, dim=1).values
        active = (scores >= best[:, -1:]).detach()
        strength = ((scores - best[:, :1].detach()) * self.scale).exp()
        return normalize(strength * active, dim=1)


def overuse(codes: torch.Tensor) -> torch.Tensor:
    """k times the sum over words of the squared mean activation, each row scaled to sum 1: (n, k)
    -> scalar. 1 if all k words are used equally often, k if one word describes everything."""
    share = codes / codes.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return codes.shape[1] * share.mean(dim=0).square().sum()


def strongest(codes: np.ndarray, names: np.ndarray, most: int = 5) -> list[list[str]]:
    """The words with the largest entries of each code, best first: (n, k), (k,) -> n lists."""
    order = np.argsort(-codes, axis=1, kind="stable")[:, :most]
    return [
        [str(names[word]) for word in row if code[word] > 0]
        for row, code in zip(order, codes, strict=True)
    ]


def lexvla(
    pools: Pools,
    seed: int = 0,
    *,
    words: int = 4096,
    keep: int = 64,
    scale: float = 20.0,
    penalty: float = 0.01,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """Lexical codes on both sides, trained with InfoNCE on pseudo-pairs and the overuse penalty.

    words    overlap items that serve as words, drawn by `seed`; entry i of a code belongs to row i
             of vocabulary.drawn, and `strongest` reads it
    keep     words of an item that are not zero
    scale    strength of a word is exp(scale * similarity) [ours; the paper has elu + 1]
    penalty  weight of `overuse` [the paper's value is not known]

    settings: overrides of networks.SETTINGS.
    """
    rows = drawn(pools, words, seed)

    def loss(model: Lexicon, batch: Batch, given: dict) -> Batch:
        x, o = model.leaf(batch["x_leaf"]), model.leaf(batch["o_leaf"])
        y, base = model.base(batch["y_base"]), model.base(batch["o_base"])
        match = infonce(x, y, given["tau2"]) + infonce(o, base, given["tau2"])
        return {"total": match + penalty * (overuse(x) + overuse(o))}

    pool = pseudo_pairs(pools, ["overlap", "leaf", "base"], tau1)
    build = lambda: Lexicon(tensor(pools.o_leaf[rows]), tensor(pools.o_base[rows]), scale, keep)
    model = fitted(build, pool, seed, loss, settings)
    return Maps(leaf=on_arrays(model.leaf), base=on_arrays(model.base))


METHODS = {"lexvla": Method(lexvla, "arXiv:2407.17827", seeded=True)}
