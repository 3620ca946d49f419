"""Ranks of the right answers: hand-made rankings, ties, and tiles against the whole matrix."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from exmcr.common.errors import ConfigError
from exmcr.evaluation import metrics, ranking
from exmcr.kernels import tiles


def score(similarity, positive):
    return metrics.summary(ranking.ranks_of_positives(similarity, positive), positive)


def random_task(n=40, m=60, seed=0):
    rng = np.random.default_rng(seed)
    positive = rng.random((n, m)) < 0.06
    positive[np.arange(n), rng.integers(m, size=n)] = True
    return rng.normal(size=(n, m)), positive


def test_ranks_of_several_right_answers():
    ranks = ranking.ranks_of_positives(
        np.array([[0.1, 0.9, 0.5, 0.3]]), np.array([[True, True, False, False]])
    )
    assert [r.tolist() for r in ranks] == [[1, 4]]
    assert metrics.per_query(ranks, 4)["map"][0] == pytest.approx((1 / 1 + 2 / 4) / 2)


@pytest.mark.parametrize("place", range(4))
def test_ties_count_against_the_method_wherever_the_right_answer_is(place):
    positive = np.zeros((1, 4), bool)
    positive[0, place] = True
    assert ranking.ranks_of_positives(np.ones((1, 4)), positive)[0].tolist() == [4]


def test_nan_and_queries_without_a_right_answer_are_errors():
    similarity, positive = random_task(5, 6)
    with pytest.raises(ValueError, match="NaN"):
        score(np.where(np.eye(5, 6) > 0, np.nan, similarity), positive)
    positive[[1, 3]] = False
    with pytest.raises(ValueError, match="2 queries"):
        score(similarity, positive)


@pytest.mark.parametrize("block", [1, 61, 600, 10**9])
def test_ranks_by_blocks_are_those_of_the_whole_matrix(monkeypatch, block):
    similarity, positive = random_task()
    similarity = similarity.round(1)  # ties
    whole = ranking.ranks_of_positives(similarity, positive)
    monkeypatch.setattr(ranking, "BLOCK", block)
    asked = []

    def some(rows):
        asked.append(similarity[rows].size)
        return similarity[rows]

    for right in (positive, csr_array(positive)):
        for ranks in (
            ranking.ranks_by_blocks(some, right),
            ranking.ranks_of_positives(similarity, right),
        ):
            assert all(np.array_equal(a, b) for a, b in zip(whole, ranks, strict=True))
    assert max(asked) <= max(block, 60)


def coarse(n, d, seed):
    """Vectors of small whole numbers: products are exact in float32 in any order of addition, and ties abound."""
    return np.random.default_rng(seed).integers(-2, 3, size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("most", [1, 5, 40], ids=["one answer", "a few", "many"])
@pytest.mark.parametrize("tile", [(7, 16), (64, 128), None])
@pytest.mark.parametrize("threads", [1, 3])
def test_ranks_by_tiles_are_those_of_the_whole_matrix(most, tile, threads, monkeypatch):
    monkeypatch.setattr(tiles, "threads_for", lambda *_: threads)
    rng = np.random.default_rng(most)
    queries, gallery = coarse(50, 6, 1), coarse(131, 6, 2)
    positive = np.zeros((50, 131), bool)
    for row in positive:
        row[rng.choice(131, size=rng.integers(1, most + 1), replace=False)] = True
    whole = ranking.ranks_of_positives(queries @ gallery.T, positive)
    for form in (positive, csr_array(positive)):
        tiled = ranking.ranks_by_tiles(queries, gallery, form, tile=tile, device="cpu")
        assert all(np.array_equal(a, b) for a, b in zip(whole, tiled, strict=True))
        assert score(queries @ gallery.T, positive) == metrics.summary(tiled, form)


def test_by_tiles_ties_count_against_the_method_and_errors_name_the_cause():
    same = np.ones((9, 4), np.float32) / 2
    assert all(
        r.tolist() == [9]
        for r in ranking.ranks_by_tiles(same, same, np.eye(9, dtype=bool), tile=(2, 4))
    )
    assert all(
        r.tolist() == list(range(1, 10))
        for r in ranking.ranks_by_tiles(same, same, np.ones((9, 9), bool), tile=(2, 4))
    )
    with pytest.raises(ValueError, match="3 queries"):
        ranking.ranks_by_tiles(same, same, np.diag([True] * 6 + [False] * 3))
    with pytest.raises(ValueError, match="shape"):
        ranking.ranks_by_tiles(same, same, np.ones((9, 8), bool))
    with pytest.raises(ConfigError, match="row 3"):
        ranking.ranks_by_tiles(
            same, np.where(np.arange(9)[:, None] == 3, np.nan, same), np.eye(9, dtype=bool)
        )


def test_random_vectors_rank_alike_by_tiles():
    rng = np.random.default_rng(0)
    queries, gallery = (
        v / np.linalg.norm(v, axis=1, keepdims=True)
        for v in (rng.normal(size=(n, 64)).astype(np.float32) for n in (300, 1000))
    )
    gallery[500:] = gallery[:500]  # every right answer has a twin, so its rank is never 1
    positive = csr_array((np.ones(300, bool), (np.arange(300), np.arange(300))), shape=(300, 1000))
    tiled = np.concatenate(
        ranking.ranks_by_tiles(queries, gallery, positive, tile=(64, 128), device="cpu")
    )
    whole = np.concatenate(
        ranking.ranks_of_positives(
            (queries.astype(float) @ gallery.T.astype(float)), positive.toarray()
        )
    )
    assert tiled.min() >= 2 and np.array_equal(tiled, whole)
