"""Retrieval scores against scikit-learn, simulation, and hand-made rankings."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from exmcr.evaluation import retrieval


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
