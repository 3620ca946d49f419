"""Search in a large gallery on disk: exact, exact by FAISS, and approximate by FAISS (IVF-PQ).

    python benchmarks/search.py                 1,000,000 vectors, recorded in results.csv and
                                                RESULTS.md
    python benchmarks/search.py --only exact    or ivfpq
    python benchmarks/search.py --quick         30,000 vectors, printed only

Needs the extra `faiss`, 2.2 GB of disk and 5 GB of memory, and about 5 minutes on 2 cores.
"""

from pathlib import Path

import numpy as np
import record
from timing import DIM, against, anonymous_peak, bank_on_disk, row, unit_rows

from exmcr.index import ivfpq
from exmcr.kernels.search import topk

K = 10
BATCHES = (1, 64)  # queries at once
ROUNDS = 3


def gallery(quick, folder):
    size = 30_000 if quick else 1_000_000
    return np.load(bank_on_disk(folder, size), mmap_mode="r")


def exact(quick, folder):
    """`topk` from disk against faiss.knn, the search of IndexFlatIP, on the same mapped rows."""
    faiss, keys, rows = ivfpq.faiss(), gallery(quick, folder), []
    for count in BATCHES:
        queries = unit_rows(count, 1).numpy()

        def ours(queries=queries):
            return topk(queries, keys, K)

        def theirs(queries=queries):
            return faiss.knn(queries, keys, K, metric=faiss.METRIC_INNER_PRODUCT)

        same = np.mean(np.sort(ours().indices) == np.sort(theirs()[1]))
        size = f"{count} queries, top {K} of {len(keys)} x {DIM}"
        claim = f"{size}, exact, against faiss.knn ({same:.1%} of the answers are equal)"
        rows.append(against(claim, ours, theirs, ROUNDS))
    return rows


def approximate(quick, folder):
    """IVF-PQ with exact scores of the candidates, against exact search: time and recall."""
    keys, rows, path = gallery(quick, folder), [], Path(folder) / "gallery.faiss"
    peak, took = anonymous_peak(lambda: ivfpq.write(path, keys))
    rows.append(row(f"making an IVF-PQ index of {len(keys)} x {DIM}", took, "s"))
    size = f"private memory of making that index of {len(keys)} x {DIM}, beside the mapped vectors"
    rows.append(row(size, peak / 1e6, "MB"))
    megabytes = path.stat().st_size / 1e6
    size = f"size of the index of {len(keys)} x {DIM}, against the vectors"
    rows.append(row(size, megabytes, "MB", keys.nbytes / 1e6, megabytes / (keys.nbytes / 1e6)))
    for count in BATCHES:
        queries = unit_rows(count, 1).numpy()

        def ours(queries=queries):
            return ivfpq.search(path, keys, queries, K)

        def whole(queries=queries):
            return topk(queries, keys, K)

        found, right = ours().indices, whole().indices
        recall = np.mean([len({*a} & {*b}) / K for a, b in zip(found, right)])
        claim = f"{count} queries, top {K} of {len(keys)} x {DIM}, IVF-PQ against exact search"
        rows.append(against(f"{claim} (recall {recall:.3f})", ours, whole, ROUNDS))
    return rows


PARTS = {"exact": exact, "ivfpq": approximate}

if __name__ == "__main__":
    record.run("search", __doc__, PARTS)
