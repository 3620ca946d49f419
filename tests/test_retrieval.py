"""Retrieval scores against scikit-learn, simulation, and hand-made rankings."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import average_precision_score

from exmcr.errors import ConfigError
from exmcr.evaluation import retrieval, table


def random_task(n=40, m=60, seed=0):
    rng = np.random.default_rng(seed)
    positive = rng.random((n, m)) < 0.06
    positive[np.arange(n), rng.integers(m, size=n)] = True
    return rng.normal(size=(n, m)), positive


def test_map_is_that_of_scikit_learn():
    similarity, positive = random_task()
    assert positive.sum(1).max() > 3
    mine = retrieval.per_query(retrieval.ranks_of_positives(similarity, positive))["map"]
    assert np.allclose(mine, [average_precision_score(p, s) for s, p in zip(similarity, positive)], atol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recall_is_the_share_with_a_right_answer_among_the_first_k(k):
    similarity, positive = random_task(seed=1)
    literal = [positive[i][np.argsort(-similarity[i])[:k]].any() for i in range(len(positive))]
    assert retrieval.score(similarity, positive)[f"r{k}"] == pytest.approx(np.mean(literal))


def test_ranks_of_several_right_answers():
    ranks = retrieval.ranks_of_positives(np.array([[0.1, 0.9, 0.5, 0.3]]), np.array([[True, True, False, False]]))
    assert [r.tolist() for r in ranks] == [[1, 4]]
    assert retrieval.per_query(ranks)["map"][0] == pytest.approx((1 / 1 + 2 / 4) / 2)


@pytest.mark.parametrize("place", range(4))
def test_ties_count_against_us_wherever_the_right_answer_stands(place):
    positive = np.zeros((1, 4), bool)
    positive[0, place] = True
    assert retrieval.ranks_of_positives(np.ones((1, 4)), positive)[0].tolist() == [4]


def test_a_collapsed_model_scores_nothing():
    assert retrieval.score(np.ones((20, 20)), np.eye(20, dtype=bool))["r10"] == 0


def test_chance_is_what_random_orders_give():
    rng = np.random.default_rng(0)
    positive = np.zeros((6, 12), bool)
    for row, count in enumerate((1, 2, 3, 5, 11, 12)):
        positive[row, :count] = True
    stated = retrieval.chance(positive)
    runs = [retrieval.per_query(retrieval.ranks_of_positives(rng.random(positive.shape), positive)) for _ in range(4000)]
    assert np.mean([r["r1"].mean() for r in runs]) == pytest.approx(stated["chance_r1"], abs=0.01)
    assert np.mean([r["map"].mean() for r in runs]) == pytest.approx(stated["chance_map"], abs=0.005)


def test_chance_of_a_gallery_of_one_is_certainty():
    assert retrieval.chance(np.ones((3, 1), bool)) == {"chance_r1": 1.0, "chance_map": 1.0}


def test_the_interval_holds_the_mean_and_is_as_wide_as_it_should_be():
    values = (np.random.default_rng(0).random(400) < 0.3).astype(float)
    low, high = retrieval.interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert retrieval.interval(values) == (low, high)
    assert retrieval.interval(np.ones(5)) == (1, 1)


def test_score_reports_sizes_and_its_interval():
    similarity, positive = random_task()
    row = retrieval.score(similarity, positive)
    assert (row["n_queries"], row["n_gallery"]) == (40, 60)
    assert row["r1_low"] <= row["r1"] <= row["r1_high"]


def test_nan_and_queries_without_an_answer_are_errors():
    similarity, positive = random_task(5, 6)
    with pytest.raises(ValueError, match="NaN"):
        retrieval.score(np.where(np.eye(5, 6) > 0, np.nan, similarity), positive)
    positive[[1, 3]] = False
    with pytest.raises(ValueError, match="2 queries"):
        retrieval.score(similarity, positive)


def coarse(n, d, seed):
    """Vectors of small whole numbers: products are exact in float32 whatever the order of adding, and ties abound."""
    return np.random.default_rng(seed).integers(-2, 3, size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("most", [1, 5, 40], ids=["one answer", "a few", "many"])
@pytest.mark.parametrize("tile", [(7, 16), (64, 128), None])
def test_ranks_by_tiles_are_those_of_the_whole_matrix(most, tile):
    rng = np.random.default_rng(most)
    queries, gallery = coarse(50, 6, 1), coarse(131, 6, 2)
    positive = np.zeros((50, 131), bool)
    for row in positive:
        row[rng.choice(131, size=rng.integers(1, most + 1), replace=False)] = True
    whole = retrieval.ranks_of_positives(queries @ gallery.T, positive)
    for form in (positive, csr_array(positive)):
        tiled = retrieval.ranks_by_tiles(queries, gallery, form, tile=tile, device="cpu")
        assert all(np.array_equal(a, b) for a, b in zip(whole, tiled, strict=True))
    assert retrieval.score(queries @ gallery.T, positive) == retrieval.score_vectors(queries, gallery, csr_array(positive), device="cpu")


def test_by_tiles_ties_count_against_us_and_errors_are_said():
    same = np.ones((9, 4), np.float32) / 2
    assert all(r.tolist() == [9] for r in retrieval.ranks_by_tiles(same, same, np.eye(9, dtype=bool), tile=(2, 4)))
    assert all(r.tolist() == list(range(1, 10)) for r in retrieval.ranks_by_tiles(same, same, np.ones((9, 9), bool), tile=(2, 4)))
    with pytest.raises(ValueError, match="3 queries"):
        retrieval.ranks_by_tiles(same, same, np.diag([True] * 6 + [False] * 3))
    with pytest.raises(ValueError, match="shape"):
        retrieval.ranks_by_tiles(same, same, np.ones((9, 8), bool))
    with pytest.raises(ConfigError, match="row 3"):
        retrieval.ranks_by_tiles(same, np.where(np.arange(9)[:, None] == 3, np.nan, same), np.eye(9, dtype=bool))


def test_random_vectors_rank_alike_by_tiles():
    rng = np.random.default_rng(0)
    queries, gallery = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (rng.normal(size=(n, 64)).astype(np.float32) for n in (300, 1000)))
    gallery[500:] = gallery[:500]  # every answer has a twin: its rank is never 1
    positive = csr_array((np.ones(300, bool), (np.arange(300), np.arange(300))), shape=(300, 1000))
    tiled = np.concatenate(retrieval.ranks_by_tiles(queries, gallery, positive, tile=(64, 128), device="cpu"))
    whole = np.concatenate(retrieval.ranks_of_positives((queries.astype(float) @ gallery.T.astype(float)), positive.toarray()))
    assert tiled.min() >= 2 and np.array_equal(tiled, whole)


def test_a_large_table_is_scored_by_tiles_to_the_same_rows(monkeypatch):
    from types import SimpleNamespace

    queries, gallery, positive = coarse(20, 5, 1), coarse(30, 5, 2), np.eye(20, 30, dtype=bool)
    task = SimpleNamespace(name="t", queries=range(20), positive=positive, seen=np.arange(20) < 8)
    rows = table.rows(task, "m", 0, queries, gallery)
    monkeypatch.setattr(table, "WHOLE", 10)
    monkeypatch.setattr(table, "score", None)
    assert table.rows(task, "m", 0, queries, gallery) == rows and len(rows) == 3
