"""Post-processors of similarities, without labels and without training: they reduce hubness or
remove modality gaps.

All have one signature:

    fn(queries (n, d), gallery (m, d), query_bank (a, d), gallery_bank (b, d), **settings)

takes unit rows and returns scores, float64 (n, m). Scores rank the gallery *within one query*; they
cannot be compared across queries or functions.

The banks are unlabeled vectors of the modalities of queries and gallery, **from the training pools
only**. With a bank of test queries or of the test gallery, the ranking of one query would depend on
other queries, which is not possible if queries come one at a time.

cosine                    the similarity itself
inverted_softmax          Smith et al., arXiv:1702.03859
dynamic_inverted_softmax  QB-Norm, arXiv:2112.12777
dual_inverted_softmax     DBNorm, "Balance Act", arXiv:2310.11612
invgc, invgc_local        inverse graph convolution, without and with LocalAdj, arXiv:2310.13276
mean_shift                Liang et al., arXiv:2203.02053
centering                 each modality about its own mean (first step of arXiv:1702.01417)
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.special import logsumexp

from exmcr.common.errors import ConfigError
from exmcr.methods import exmcr
from exmcr.methods.baselines import hop
from exmcr.methods.maps import Method
from exmcr.methods.relative import asif

Rows = Any  # (n, d): ndarray or csr_array
Four = tuple[Rows, Rows, Rows, Rows]


def _checked(queries, gallery, query_bank, gallery_bank) -> Four:
    """As float64; sparse rows stay sparse. Raises ConfigError for an empty bank or unequal
    dimensions."""
    names = ("queries", "gallery", "query_bank", "gallery_bank")
    q, g, qb, gb = (
        v.astype(np.float64) if isinstance(v, csr_array) else np.asarray(v, np.float64)
        for v in (queries, gallery, query_bank, gallery_bank)
    )
    for name, bank in (("query_bank", qb), ("gallery_bank", gb)):
        if bank.shape[0] == 0:
            raise ConfigError(f"{name} is empty; use the training pool of that modality")
    dims = [v.shape[1] for v in (q, g, qb, gb)]
    if len(set(dims)) > 1:
        parts = (f"{name} {dim}" for name, dim in zip(names, dims, strict=True))
        raise ConfigError(f"vectors differ in dimension: {', '.join(parts)}")
    return q, g, qb, gb


def _dense(rows: Rows) -> np.ndarray:
    return rows.toarray() if isinstance(rows, csr_array) else rows


def _products(a: Rows, b: Rows) -> np.ndarray:
    """Inner products (n, m) of rows (n, d) and (m, d)."""
    return _dense(a @ b.T)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def cosine(queries, gallery, query_bank, gallery_bank) -> np.ndarray:
    """q.g: the similarity without post-processing."""
    q, g, _, _ = _checked(queries, gallery, query_bank, gallery_bank)
    return _products(q, g)


def inverted_softmax(queries, gallery, query_bank, gallery_bank, beta: float = 20.0) -> np.ndarray:
    """log of exp(beta q.g) / sum over bank queries b of exp(beta b.g): items that are similar to
    many queries lose."""
    q, g, qb, _ = _checked(queries, gallery, query_bank, gallery_bank)
    return beta * _products(q, g) - logsumexp(beta * _products(qb, g), axis=0)


def dynamic_inverted_softmax(
    queries, gallery, query_bank, gallery_bank, beta: float = 20.0, k: int = 1
) -> np.ndarray:
    """Inverted softmax only for queries whose best answer may be a hub, that is, among the k best
    of some query of the bank."""
    plain = cosine(queries, gallery, query_bank, gallery_bank)
    normalized = inverted_softmax(queries, gallery, query_bank, gallery_bank, beta)
    of_bank = cosine(query_bank, gallery, query_bank, gallery_bank)
    hubs = np.argsort(-of_bank, axis=1, kind="stable")[:, :k]
    suspect = np.isin(plain.argmax(axis=1), hubs)
    return np.where(suspect[:, None], normalized, plain)


def dual_inverted_softmax(
    queries, gallery, query_bank, gallery_bank, beta_query: float = 20.0, beta_gallery: float = 20.0
) -> np.ndarray:
    """log of the product of two inverted softmaxes of q.g, one over the bank of queries and one
    over the bank of gallery items: a hub is close to all items, its own modality included."""
    q, g, qb, gb = _checked(queries, gallery, query_bank, gallery_bank)
    mass_query = logsumexp(beta_query * _products(qb, g), axis=0)
    mass_gallery = logsumexp(beta_gallery * _products(gb, g), axis=0)
    return (beta_query + beta_gallery) * _products(q, g) - (mass_query + mass_gallery)


def invgc(
    queries, gallery, query_bank, gallery_bank, rate_query: float = 1.0, rate_gallery: float = 1.0
) -> np.ndarray:
    """Inverse graph convolution: a gallery item g moves away from similar bank items, to
    g - rate * mean_b (g.b) b.

    Once with the bank of gallery items and once with that of queries, each normalized; the query is
    compared with their normalized mean. The paper tunes the rates for each data set: too small or
    too large a rate can be worse than none.
    """
    vectors = _checked(queries, gallery, query_bank, gallery_bank)
    return _inverse_convolution(*vectors, rate_query, rate_gallery, None)


def invgc_local(
    queries,
    gallery,
    query_bank,
    gallery_bank,
    rate_query: float = 0.1,
    rate_gallery: float = 0.1,
    share: float = 0.01,
) -> np.ndarray:
    """InvGC with LocalAdj: items move away only from the nearest `share` of each bank, at least one
    item."""
    vectors = _checked(queries, gallery, query_bank, gallery_bank)
    return _inverse_convolution(*vectors, rate_query, rate_gallery, share)


def _inverse_convolution(q, g, qb, gb, rate_query, rate_gallery, share) -> np.ndarray:
    q, g, qb, gb = (_dense(rows) for rows in (q, g, qb, gb))

    def moved(bank: np.ndarray, rate: float) -> np.ndarray:
        weight = g @ bank.T
        count = len(bank)
        if share is not None:
            count = max(1, int(share * len(bank)))
            nearest = np.argpartition(-weight, count - 1, axis=1)[:, :count]
            kept = np.zeros_like(weight)
            np.put_along_axis(kept, nearest, np.take_along_axis(weight, nearest, axis=1), axis=1)
            weight = kept
        return _unit(g - rate * weight @ bank / count)

    return q @ _unit(moved(gb, rate_gallery) + moved(qb, rate_query)).T


def mean_shift(queries, gallery, query_bank, gallery_bank, share: float = 1.0) -> np.ndarray:
    """Move both modalities towards each other along the difference of the means of their banks,
    then normalize.

    share: 1 makes the means equal, 0 changes nothing, negative values widen the gap.
    """
    q, g, qb, gb = _checked(queries, gallery, query_bank, gallery_bank)
    half = share * (qb.mean(axis=0) - gb.mean(axis=0)) / 2
    return _unit(_dense(q) - half) @ _unit(_dense(g) + half).T


def centering(queries, gallery, query_bank, gallery_bank) -> np.ndarray:
    """Subtract from each modality the mean of its bank, then normalize: removes the gap and what
    all items share."""
    q, g, qb, gb = _checked(queries, gallery, query_bank, gallery_bank)
    return _unit(_dense(q) - qb.mean(axis=0)) @ _unit(_dense(g) - gb.mean(axis=0)).T


POSTPROCESSORS: dict[str, tuple[Callable[..., np.ndarray], str]] = {
    "inverted-softmax": (inverted_softmax, "arXiv:1702.03859"),
    "qb-norm": (dynamic_inverted_softmax, "arXiv:2112.12777"),
    "dbnorm": (dual_inverted_softmax, "arXiv:2310.11612"),
    "invgc": (invgc, "arXiv:2310.13276"),
    "invgc-local": (invgc_local, "arXiv:2310.13276"),
    "mean-shift": (mean_shift, "arXiv:2203.02053"),
    "centering": (centering, "arXiv:1702.01417"),
}


def _after(method: Method, names: Iterable[str], of: str) -> dict[str, Method]:
    """The method `of` with each of these post-processors."""
    chosen = {name: POSTPROCESSORS[name] for name in names}
    return {
        f"{of}+{name}": replace(method, paper=paper, after=function)
        for name, (function, paper) in chosen.items()
    }


# Each on the maps of the method before the last +. All on the hop, which is the cheapest; the best
# of each kind on ASIF, which changes the base, and on Ex-MCR.
METHODS = {
    **_after(Method(hop), POSTPROCESSORS, "hop"),
    **_after(Method(asif), ("dbnorm", "centering"), "asif"),
    **_after(exmcr.METHODS["exmcr"], ("dbnorm", "centering"), "exmcr"),
}
