"""Similarities made fairer after the fact, without labels and without training: hubs pushed down, modality gaps removed.

All share one signature: fn(queries (n, d), gallery (m, d), query_bank (a, d), gallery_bank (b, d), **settings) -> float64
(n, m), all unit rows. Scores rank the gallery *within one query*; across queries, and across functions, they do not compare.

The banks are unlabeled vectors of the query's and of the gallery's modality **from the training pools only**. A bank made of
the test queries or the test gallery would let one query learn from the others, which retrieval one query at a time cannot.

cosine                    nothing is done
inverted_softmax          Smith et al., arXiv:1702.03859
dynamic_inverted_softmax  QB-Norm, arXiv:2112.12777
dual_inverted_softmax     DBNorm, "Balance Act", arXiv:2310.11612
invgc, invgc_local        inverse graph convolution, without and with LocalAdj, arXiv:2310.13276
mean_shift                Liang et al., arXiv:2203.02053
centering                  each modality about its own mean (the first step of arXiv:1702.01417)"""

import numpy as np
from scipy.special import logsumexp

from exmcr.common.errors import ConfigError


def _checked(queries, gallery, query_bank, gallery_bank):
    """float64 copies. Raises ConfigError for an empty bank or unequal dimensions."""
    named = {
        "queries": queries,
        "gallery": gallery,
        "query_bank": query_bank,
        "gallery_bank": gallery_bank,
    }
    arrays = {name: np.asarray(value, np.float64) for name, value in named.items()}
    for name in ("query_bank", "gallery_bank"):
        if len(arrays[name]) == 0:
            raise ConfigError(f"{name} is empty; use the training pool of that modality")
    if len({value.shape[1] for value in arrays.values()}) > 1:
        raise ConfigError(
            "vectors differ in dimension: "
            + ", ".join(f"{name} {value.shape[1]}" for name, value in arrays.items())
        )
    return arrays.values()


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def cosine(queries, gallery, query_bank, gallery_bank) -> np.ndarray:
    """q.g: the similarity that all others are compared with."""
    queries, gallery, _, _ = _checked(queries, gallery, query_bank, gallery_bank)
    return queries @ gallery.T


def inverted_softmax(queries, gallery, query_bank, gallery_bank, beta: float = 20.0) -> np.ndarray:
    """log of exp(beta q.g) / sum over bank queries b of exp(beta b.g): what everyone likes is worth less."""
    queries, gallery, query_bank, _ = _checked(queries, gallery, query_bank, gallery_bank)
    return beta * queries @ gallery.T - logsumexp(beta * query_bank @ gallery.T, axis=0)


def dynamic_inverted_softmax(
    queries, gallery, query_bank, gallery_bank, beta: float = 20.0, k: int = 1
) -> np.ndarray:
    """Inverted softmax only for queries whose best answer is a suspect: among the k best of some query of the bank."""
    plain = cosine(queries, gallery, query_bank, gallery_bank)
    normalized = inverted_softmax(queries, gallery, query_bank, gallery_bank, beta)
    liked = np.argsort(
        -cosine(query_bank, gallery, query_bank, gallery_bank), axis=1, kind="stable"
    )[:, :k]
    suspect = np.isin(plain.argmax(axis=1), liked)
    return np.where(suspect[:, None], normalized, plain)


def dual_inverted_softmax(
    queries, gallery, query_bank, gallery_bank, beta_query: float = 20.0, beta_gallery: float = 20.0
) -> np.ndarray:
    """log of the product of two inverted softmaxes of q.g, one over the bank of queries, one over the bank of gallery items:
    a hub is near to everything, also to its own kind."""
    queries, gallery, query_bank, gallery_bank = _checked(
        queries, gallery, query_bank, gallery_bank
    )
    liked = logsumexp(beta_query * query_bank @ gallery.T, axis=0) + logsumexp(
        beta_gallery * gallery_bank @ gallery.T, axis=0
    )
    return (beta_query + beta_gallery) * queries @ gallery.T - liked


def invgc(
    queries, gallery, query_bank, gallery_bank, rate_query: float = 1.0, rate_gallery: float = 1.0
) -> np.ndarray:
    """Inverse graph convolution: a gallery item g moves away from what it resembles, g - rate * mean_b (g.b) b.

    Once with the bank of gallery items, once with that of queries, each of unit norm; their mean, of unit norm, meets the
    query. The paper tunes the rates for each data set; rightly: a rate too weak or too strong can be worse than none."""
    return _inverse_convolution(
        queries, gallery, query_bank, gallery_bank, rate_query, rate_gallery, None
    )


def invgc_local(
    queries,
    gallery,
    query_bank,
    gallery_bank,
    rate_query: float = 0.1,
    rate_gallery: float = 0.1,
    share: float = 0.01,
) -> np.ndarray:
    """InvGC with LocalAdj: only the nearest `share` of each bank (at least one item) pushes."""
    return _inverse_convolution(
        queries, gallery, query_bank, gallery_bank, rate_query, rate_gallery, share
    )


def _inverse_convolution(
    queries, gallery, query_bank, gallery_bank, rate_query, rate_gallery, share
):
    queries, gallery, query_bank, gallery_bank = _checked(
        queries, gallery, query_bank, gallery_bank
    )

    def pushed(bank, rate):
        weight = gallery @ bank.T
        count = len(bank)
        if share is not None:
            count = max(1, int(share * len(bank)))
            nearest = np.argpartition(-weight, count - 1, axis=1)[:, :count]
            kept = np.zeros_like(weight)
            np.put_along_axis(kept, nearest, np.take_along_axis(weight, nearest, axis=1), axis=1)
            weight = kept
        return _unit(gallery - rate * weight @ bank / count)

    return queries @ _unit(pushed(gallery_bank, rate_gallery) + pushed(query_bank, rate_query)).T


def mean_shift(queries, gallery, query_bank, gallery_bank, share: float = 1.0) -> np.ndarray:
    """Move both modalities towards each other along the difference of their means (that of the banks), then to unit norm.

    share 1 makes the means meet, 0 changes nothing, negative values widen the gap."""
    queries, gallery, query_bank, gallery_bank = _checked(
        queries, gallery, query_bank, gallery_bank
    )
    half = share * (query_bank.mean(axis=0) - gallery_bank.mean(axis=0)) / 2
    return _unit(queries - half) @ _unit(gallery + half).T


def centering(queries, gallery, query_bank, gallery_bank) -> np.ndarray:
    """Subtract from each modality the mean of its bank, then to unit norm: removes the gap and what all items share."""
    queries, gallery, query_bank, gallery_bank = _checked(
        queries, gallery, query_bank, gallery_bank
    )
    return _unit(queries - query_bank.mean(axis=0)) @ _unit(gallery - gallery_bank.mean(axis=0)).T
