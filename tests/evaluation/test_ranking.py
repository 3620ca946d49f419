"""Retrieval scores against scikit-learn, simulation, and hand-made rankings."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import average_precision_score, top_k_accuracy_score

from exmcr.common.errors import ConfigError
from exmcr.evaluation import ranking as retrieval
from exmcr.evaluation import tables as table
from exmcr.kernels import aggregate


def random_task(n=40, m=60, seed=0):
    rng = np.random.default_rng(seed)
    positive = rng.random((n, m)) < 0.06
    positive[np.arange(n), rng.integers(m, size=n)] = True
    return rng.normal(size=(n, m)), positive


def test_map_is_that_of_scikit_learn():
    similarity, positive = random_task()
    assert positive.sum(1).max() > 3
    mine = retrieval.per_query(retrieval.ranks_of_positives(similarity, positive))["map"]
    assert np.allclose(
        mine, [average_precision_score(p, s) for s, p in zip(similarity, positive)], atol=1e-12
    )


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recall_is_the_share_with_a_right_answer_among_the_first_k(k):
    similarity, positive = random_task(seed=1)
    literal = [positive[i][np.argsort(-similarity[i])[:k]].any() for i in range(len(positive))]
    assert retrieval.score(similarity, positive)[f"r{k}"] == pytest.approx(np.mean(literal))


def test_ranks_of_several_right_answers():
    ranks = retrieval.ranks_of_positives(
        np.array([[0.1, 0.9, 0.5, 0.3]]), np.array([[True, True, False, False]])
    )
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
    runs = [
        retrieval.per_query(retrieval.ranks_of_positives(rng.random(positive.shape), positive))
        for _ in range(4000)
    ]
    assert np.mean([r["r1"].mean() for r in runs]) == pytest.approx(stated["chance_r1"], abs=0.01)
    assert np.mean([r["map"].mean() for r in runs]) == pytest.approx(
        stated["chance_map"], abs=0.005
    )


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


def test_recall_with_one_right_answer_is_scikit_learns_top_k_accuracy():
    rng = np.random.default_rng(3)
    similarity, right = rng.normal(size=(50, 30)), rng.permutation(np.resize(np.arange(30), 50))
    row = retrieval.score(similarity, np.arange(30) == right[:, None])
    for k in (1, 5, 10):
        assert row[f"r{k}"] == pytest.approx(
            top_k_accuracy_score(right, similarity, k=k, labels=np.arange(30))
        )


@pytest.mark.parametrize("seed", range(3))
def test_ties_count_as_if_the_right_answers_were_a_hair_worse(seed):
    """The rule, and through it scikit-learn again: five levels of similarity and several right answers tie all the time."""
    _, positive = random_task(seed=seed)
    similarity = np.random.default_rng(seed).integers(5, size=positive.shape).astype(float)
    parted = similarity - 1e-6 * positive
    mine = retrieval.per_query(retrieval.ranks_of_positives(similarity, positive))
    assert not np.allclose(
        mine["map"], [average_precision_score(p, s) for s, p in zip(similarity, positive)]
    ), "there are ties"
    # What is left are ties of right answers among themselves, whose order is nobody's loss; scikit-learn counts them as one
    # step, so each is parted a hair further.
    parted -= 1e-9 * np.arange(positive.shape[1]) * positive
    assert np.allclose(
        mine["map"], [average_precision_score(p, s) for s, p in zip(parted, positive)], atol=1e-12
    )
    first = [1 + int((s[~p] >= s[p].max()).sum()) for s, p in zip(similarity, positive)]
    for k in (1, 5, 10):
        assert mine[f"r{k}"].tolist() == [float(rank <= k) for rank in first]


@pytest.mark.parametrize("share, n", [(0.5, 100), (0.2, 100), (0.3, 40)])
def test_the_interval_covers_the_truth_as_often_as_it_says(share, n):
    """95 % of the intervals of 300 experiments should hold the true share; binomial noise allows 92 to 98."""
    draws = np.random.default_rng(0).random((300, n)) < share
    inside = [low <= share <= high for low, high in map(retrieval.interval, draws.astype(float))]
    # The percentile bootstrap of few yes-or-no answers is known to be a little narrow, the less the more queries.
    assert 0.90 <= np.mean(inside) <= 0.985


def test_the_interval_is_of_queries_not_of_answers():
    """Average precision too: the interval of a mean narrows with the root of the number of queries."""
    values = np.random.default_rng(1).random(1600)
    width = [np.diff(retrieval.interval(values[:n]))[0] for n in (100, 1600)]
    assert width[0] / width[1] == pytest.approx(4, rel=0.25)


def coarse(n, d, seed):
    """Vectors of small whole numbers: products are exact in float32 whatever the order of adding, and ties abound."""
    return np.random.default_rng(seed).integers(-2, 3, size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("most", [1, 5, 40], ids=["one answer", "a few", "many"])
@pytest.mark.parametrize("tile", [(7, 16), (64, 128), None])
@pytest.mark.parametrize("threads", [1, 3])
def test_ranks_by_tiles_are_those_of_the_whole_matrix(most, tile, threads, monkeypatch):
    monkeypatch.setattr(aggregate, "_threads_for", lambda *_: threads)
    rng = np.random.default_rng(most)
    queries, gallery = coarse(50, 6, 1), coarse(131, 6, 2)
    positive = np.zeros((50, 131), bool)
    for row in positive:
        row[rng.choice(131, size=rng.integers(1, most + 1), replace=False)] = True
    whole = retrieval.ranks_of_positives(queries @ gallery.T, positive)
    for form in (positive, csr_array(positive)):
        tiled = retrieval.ranks_by_tiles(queries, gallery, form, tile=tile, device="cpu")
        assert all(np.array_equal(a, b) for a, b in zip(whole, tiled, strict=True))
    assert retrieval.score(queries @ gallery.T, positive) == retrieval.score_vectors(
        queries, gallery, csr_array(positive), device="cpu"
    )


def test_by_tiles_ties_count_against_us_and_errors_are_said():
    same = np.ones((9, 4), np.float32) / 2
    assert all(
        r.tolist() == [9]
        for r in retrieval.ranks_by_tiles(same, same, np.eye(9, dtype=bool), tile=(2, 4))
    )
    assert all(
        r.tolist() == list(range(1, 10))
        for r in retrieval.ranks_by_tiles(same, same, np.ones((9, 9), bool), tile=(2, 4))
    )
    with pytest.raises(ValueError, match="3 queries"):
        retrieval.ranks_by_tiles(same, same, np.diag([True] * 6 + [False] * 3))
    with pytest.raises(ValueError, match="shape"):
        retrieval.ranks_by_tiles(same, same, np.ones((9, 8), bool))
    with pytest.raises(ConfigError, match="row 3"):
        retrieval.ranks_by_tiles(
            same, np.where(np.arange(9)[:, None] == 3, np.nan, same), np.eye(9, dtype=bool)
        )


def test_random_vectors_rank_alike_by_tiles():
    rng = np.random.default_rng(0)
    queries, gallery = (
        v / np.linalg.norm(v, axis=1, keepdims=True)
        for v in (rng.normal(size=(n, 64)).astype(np.float32) for n in (300, 1000))
    )
    gallery[500:] = gallery[:500]  # every answer has a twin: its rank is never 1
    positive = csr_array((np.ones(300, bool), (np.arange(300), np.arange(300))), shape=(300, 1000))
    tiled = np.concatenate(
        retrieval.ranks_by_tiles(queries, gallery, positive, tile=(64, 128), device="cpu")
    )
    whole = np.concatenate(
        retrieval.ranks_of_positives(
            (queries.astype(float) @ gallery.T.astype(float)), positive.toarray()
        )
    )
    assert tiled.min() >= 2 and np.array_equal(tiled, whole)


def test_a_large_table_is_scored_by_tiles_to_the_same_rows(monkeypatch):
    from types import SimpleNamespace

    queries, gallery, positive = coarse(20, 5, 1), coarse(30, 5, 2), np.eye(20, 30, dtype=bool)
    task = SimpleNamespace(name="t", queries=range(20), positive=positive, seen=np.arange(20) < 8)
    rows = table.rows(task, "m", 0, queries, gallery)
    monkeypatch.setattr(table, "WHOLE", 10)
    monkeypatch.setattr(table, "score", None)
    assert table.rows(task, "m", 0, queries, gallery) == rows and len(rows) == 3
