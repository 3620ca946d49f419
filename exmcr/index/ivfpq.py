"""Search by FAISS: exact, or approximate by inverted lists with product quantization (Jégou et al.
2011). There, candidates come from the compressed vectors, their order and scores from the exact
ones.
"""

import math
from pathlib import Path
from types import ModuleType

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.kernels.search import TopK, topk

LARGE = 50_000  # vectors, from which exact search by FAISS is worth its import
FEWEST = 10_000  # vectors; FAISS wants 39 for each of the 256 centroids of a code
TRAINING = 100_000  # vectors that lists and codes are fitted to
SUBSPACE = 8  # dimensions that one byte of a code stands for
PROBES = 32  # lists that a query visits
CANDIDATES = 10  # times k, ranked by their exact scores


def faiss() -> ModuleType:
    """The package. Raises ConfigError if it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            "an IVF-PQ index needs the package faiss-cpu (extra `faiss`); without it, use "
            "--kind exact"
        ) from error
    return faiss


def exact(vectors: np.ndarray, queries: np.ndarray, k: int) -> TopK:
    """As exmcr.kernels.search.topk, by FAISS for many vectors if it is installed."""
    if len(vectors) >= LARGE:
        try:
            library = faiss()
        except ConfigError:
            return topk(queries, vectors, k)
        return TopK(*library.knn(queries, vectors, k, metric=library.METRIC_INNER_PRODUCT))
    return topk(queries, vectors, k)


def write(path: Path, vectors: np.ndarray) -> None:
    """Fit an index to unit rows (n, d), n >= FEWEST, and write it.

    A list has about sqrt(n) / 4 vectors. Raises ConfigError for fewer vectors, or dimensions that
    are not a multiple of SUBSPACE.
    """
    library, (n, dim) = faiss(), vectors.shape
    if n < FEWEST or dim % SUBSPACE:
        raise ConfigError(
            f"IVF-PQ needs {FEWEST} vectors or more, of dimensions that {SUBSPACE} divides, not "
            f"{n} of {dim}; use --kind exact"
        )
    lists = int(4 * math.sqrt(n))
    coarse = library.IndexFlatIP(dim)
    index = library.IndexIVFPQ(coarse, dim, lists, dim // SUBSPACE, 8, library.METRIC_INNER_PRODUCT)
    rows = np.random.default_rng(0).permutation(n)[:TRAINING]
    index.train(np.ascontiguousarray(vectors[np.sort(rows)]))
    for start in range(0, n, TRAINING):
        index.add(np.ascontiguousarray(vectors[start : start + TRAINING]))
    with atomic_write(path) as draft:
        library.write_index(index, str(draft))


def search(path: Path, vectors: np.ndarray, queries: np.ndarray, k: int) -> TopK:
    """As exmcr.kernels.search.topk, approximately: the exact scores of the best candidates.

    path: what `write` wrote for `vectors`. Where the visited lists hold fewer than k vectors, all
    vectors are searched.
    """
    library = faiss()
    index = library.read_index(str(path), library.IO_FLAG_MMAP)
    index.nprobe = min(PROBES, index.nlist)
    _, candidates = index.search(queries, min(CANDIDATES * k, index.ntotal))
    scores, indices = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    for place, (query, rows) in enumerate(zip(queries, candidates, strict=True)):
        rows = np.sort(rows[rows >= 0])
        if len(rows) < k:
            rows = np.arange(len(vectors))
        top = topk(query[None], vectors[rows], k)
        scores[place], indices[place] = top.scores[0], rows[top.indices[0]]
    return TopK(scores, indices)
