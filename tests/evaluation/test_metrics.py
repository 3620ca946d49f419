"""Metrics against scikit-learn, simulation and literal values; and how a metric is added."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import average_precision_score, ndcg_score, top_k_accuracy_score
from synthetic import project

from exmcr.common.errors import ConfigError
from exmcr.evaluation import bench, metrics, tables
from exmcr.evaluation.metrics import METRICS, Metric, chance, interval, per_query, summary
from exmcr.evaluation.ranking import ranks_of_positives


def score(similarity, positive):
    return summary(ranks_of_positives(similarity, positive), positive)


def random_task(n=40, m=60, seed=0):
    rng = np.random.default_rng(seed)
    positive = rng.random((n, m)) < 0.06
    positive[np.arange(n), rng.integers(m, size=n)] = True
    return rng.normal(size=(n, m)), positive


def test_map_is_that_of_scikit_learn():
    similarity, positive = random_task()
    assert positive.sum(1).max() > 3
    mine = per_query(ranks_of_positives(similarity, positive), 60)["map"]
    assert np.allclose(
        mine, [average_precision_score(p, s) for s, p in zip(similarity, positive)], atol=1e-12
    )


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recall_is_the_share_with_a_right_answer_among_the_first_k(k):
    similarity, positive = random_task(seed=1)
    literal = [positive[i][np.argsort(-similarity[i])[:k]].any() for i in range(len(positive))]
    assert score(similarity, positive)[f"r{k}"] == pytest.approx(np.mean(literal))


def test_recall_with_one_right_answer_is_scikit_learns_top_k_accuracy():
    rng = np.random.default_rng(3)
    similarity, right = rng.normal(size=(50, 30)), rng.permutation(np.resize(np.arange(30), 50))
    row = score(similarity, np.arange(30) == right[:, None])
    for k in (1, 5, 10):
        assert row[f"r{k}"] == pytest.approx(
            top_k_accuracy_score(right, similarity, k=k, labels=np.arange(30))
        )


def test_a_collapsed_model_scores_nothing():
    assert score(np.ones((20, 20)), np.eye(20, dtype=bool))["r10"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_ties_count_as_if_the_right_answers_were_slightly_less_similar(seed):
    """The rule, and through it scikit-learn again: with five levels of similarity and several right answers, ties abound."""
    _, positive = random_task(seed=seed)
    similarity = np.random.default_rng(seed).integers(5, size=positive.shape).astype(float)
    parted = similarity - 1e-6 * positive
    mine = per_query(ranks_of_positives(similarity, positive), 60)
    assert not np.allclose(
        mine["map"], [average_precision_score(p, s) for s, p in zip(similarity, positive)]
    ), "there are ties"
    # The remaining ties are of right answers with each other, whose order does not matter; scikit-learn counts them as one
    # step, so each is moved a little further.
    parted -= 1e-9 * np.arange(positive.shape[1]) * positive
    assert np.allclose(
        mine["map"], [average_precision_score(p, s) for s, p in zip(parted, positive)], atol=1e-12
    )
    first = [1 + int((s[~p] >= s[p].max()).sum()) for s, p in zip(similarity, positive)]
    for k in (1, 5, 10):
        assert mine[f"r{k}"].tolist() == [float(rank <= k) for rank in first]


def test_chance_is_the_mean_of_random_orders():
    rng = np.random.default_rng(0)
    positive = np.zeros((6, 12), bool)
    for row, count in enumerate((1, 2, 3, 5, 11, 12)):
        positive[row, :count] = True
    stated = chance(positive)
    runs = [
        per_query(ranks_of_positives(rng.random(positive.shape), positive), 12) for _ in range(4000)
    ]
    means = {name: np.mean([run[name].mean() for run in runs]) for name in METRICS}
    assert means["r1"] == pytest.approx(stated["r1"], abs=0.01)
    assert means["map"] == pytest.approx(stated["map"], abs=0.005)
    for name in ("r5", "r10"):
        assert means[name] == pytest.approx(stated[name], abs=0.01)


@pytest.mark.parametrize("right", [1, 2, 3, 5, 11, 12])
def test_chance_of_recall_holds_for_each_number_of_right_answers(right):
    """Query by query, since a mean over queries could hide errors that cancel."""
    rng = np.random.default_rng(right)
    positive = np.zeros((4000, 12), bool)
    positive[:, :right] = True
    drawn = per_query(ranks_of_positives(rng.random(positive.shape), positive), 12)
    for k in (1, 5, 10):
        stated = METRICS[f"r{k}"].chance(np.array([right]), 12)
        assert stated.shape == (1,)
        # Four standard deviations of a share of 4000 draws are at most 0.032.
        assert drawn[f"r{k}"].mean() == pytest.approx(stated[0], abs=0.032)


def test_chance_of_recall_at_1_is_the_share_of_right_answers():
    assert np.allclose(METRICS["r1"].chance(np.array([1, 3, 8]), 8), [1 / 8, 3 / 8, 1])
    assert np.allclose(METRICS["r5"].chance(np.array([1, 4]), 8), [5 / 8, 1]), (
        "four right answers of eight cannot all be missed in five draws"
    )


def test_chance_of_recall_beyond_the_gallery_is_certainty():
    assert METRICS["r10"].chance(np.array([1, 2]), 4).tolist() == [1, 1]


def test_chance_of_a_gallery_of_one_is_certainty():
    assert chance(np.ones((3, 1), bool)) == {"r1": 1.0, "r5": 1.0, "r10": 1.0, "map": 1.0}


def test_chance_of_sparse_right_answers_is_that_of_dense_ones():
    positive = random_task()[1]
    assert chance(csr_array(positive)) == chance(positive)


def test_the_interval_holds_the_mean_and_is_as_wide_as_it_should_be():
    values = (np.random.default_rng(0).random(400) < 0.3).astype(float)
    low, high = interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert tuple(interval(values)) == (low, high)
    assert tuple(interval(np.ones(5))) == (1, 1)


@pytest.mark.parametrize("share, n", [(0.5, 100), (0.2, 100), (0.3, 40)])
def test_the_interval_covers_the_truth_as_often_as_it_says(share, n):
    """95 % of the intervals of 300 experiments should hold the true share; binomial noise allows 92 to 98."""
    draws = np.random.default_rng(0).random((300, n)) < share
    inside = [low <= share <= high for low, high in map(interval, draws.astype(float))]
    # The percentile bootstrap of few binary values is known to be a little narrow, the more so the fewer there are.
    assert 0.90 <= np.mean(inside) <= 0.985


def test_the_interval_is_of_queries_not_of_answers():
    """Average precision too: the interval of a mean narrows with the root of the number of queries."""
    values = np.random.default_rng(1).random(1600)
    width = [np.diff(interval(values[:n]))[0] for n in (100, 1600)]
    assert width[0] / width[1] == pytest.approx(4, rel=0.25)


@pytest.mark.parametrize("draws", [metrics.DRAWS, 7000, 1])
def test_intervals_of_several_metrics_are_those_of_each_alone(monkeypatch, draws):
    """The same resamples for all metrics, however many are in memory at once."""
    values = np.random.default_rng(2).random((50, 4))
    alone = np.stack([interval(column) for column in values.T], axis=1)
    monkeypatch.setattr(metrics, "DRAWS", draws)
    assert interval(values).shape == (2, 4)
    assert np.allclose(interval(values), alone, rtol=0, atol=1e-12)


def test_summary_reports_sizes_and_intervals():
    row = score(*random_task())
    assert list(row) == metrics.columns()
    assert (row["n_queries"], row["n_gallery"]) == (40, 60)
    for name in METRICS:
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


def test_summary_has_the_values_of_earlier_versions():
    """Literal values of the first release of the results table."""
    row = score(*random_task())
    literal = {"chance_r1": 0.07875, "chance_map": 0.13620899352426757, "map": 0.12535816699889185}
    literal |= {"r1": 0.025, "r5": 0.225, "r10": 0.425, "r1_low": 0.0, "r1_high": 0.075}
    assert {name: row[name] for name in literal} == pytest.approx(literal, rel=0, abs=1e-12)


def test_an_unknown_metric_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match="unknown metric 'ndcg'; known: r1, r5, r10, map"):
        metrics.metric("ndcg")


# A metric is added by one entry.


def ndcg_at(k):
    """nDCG@k with gains of 0 and 1."""

    def gain(rank):
        return 1 / np.log2(rank + 1)

    def ideal(right, n):
        return np.array([gain(np.arange(1, min(m, k) + 1)).sum() for m in right])

    def per_query(ranks, n):
        found = np.array([gain(r[r <= k]).sum() for r in ranks])
        return found / ideal([len(r) for r in ranks], n)

    def expected(right, n):
        return right / n * gain(np.arange(1, min(k, n) + 1)).sum() / ideal(right, n)

    return Metric(f"ndcg{k}", f"nDCG@{k}", per_query, expected)


@pytest.fixture
def ndcg(monkeypatch):
    monkeypatch.setitem(METRICS, "ndcg10", ndcg_at(10))


def test_a_registered_metric_is_in_the_summary(ndcg):
    similarity, positive = random_task()
    row = score(similarity, positive)
    assert row["ndcg10"] == pytest.approx(ndcg_score(positive, similarity, k=10))
    rng = np.random.default_rng(0)
    runs = [score(rng.random(positive.shape), positive)["ndcg10"] for _ in range(200)]
    assert row["chance_ndcg10"] == pytest.approx(np.mean(runs), abs=0.01)
    assert row["ndcg10_low"] <= row["ndcg10"] <= row["ndcg10_high"]
    assert list(row)[-4:] == ["chance_ndcg10", "ndcg10", "ndcg10_low", "ndcg10_high"]


def test_a_registered_metric_is_in_the_results_of_a_project(ndcg, tmp_path):
    scored = bench.Bench(project(tmp_path, concepts=12))
    path = tmp_path / "reports/results.csv"
    tables.write(scored.rows("hop", 0) + scored.rows("lstsq", 0), path)
    table = pd.read_csv(path)
    assert list(table.columns)[-4:] == ["chance_ndcg10", "ndcg10", "ndcg10_low", "ndcg10_high"]
    assert table.ndcg10.between(0, 1).all() and (table.ndcg10 > table.chance_ndcg10).mean() > 0.9
    mean = tables.over_seeds(table).set_index(["task", "concept_subset", "method"])
    assert (mean.ndcg10_sd == 0).all()
    lines = tables.markdown(table, metrics=["ndcg10"]).splitlines()
    assert lines[0] == "| task | queries x gallery | chance | lstsq | hop |"
    hop = mean.loc["audio->image", "all", "hop"]
    assert lines[2].startswith("| audio->image | 24 x 24 |")
    assert lines[2].endswith(f" {100 * hop.ndcg10:.1f} |")
    assert f"| {100 * hop.chance_ndcg10:.1f} |" in lines[2]


def test_mean_rank_variance_equals_loops_and_leaves_out_single_queries():
    ranks = [np.array(r) for r in ([1, 9], [5], [2], [2, 3], [7], [10], [4])]
    groups = ["dog", "dog", "dog", "cat", "cat", "bell", ""]
    of = {"dog": [1, 5, 2], "cat": [2, 7]}
    total = 0.0
    for places in of.values():
        mean = sum(places) / len(places)
        total += sum(((p - mean) / 10) ** 2 for p in places) / len(places)
    assert metrics.mean_rank_variance(ranks, groups, 10) == pytest.approx(total / 2)


def test_mean_rank_variance_is_0_for_consistent_ranks_and_a_twelfth_for_random_ones():
    same = [np.array([7])] * 6
    assert metrics.mean_rank_variance(same, list("aabbcc"), 50) == 0
    rng = np.random.default_rng(0)
    ranks = [np.array([rank]) for rank in rng.integers(1, 1001, size=4000)]
    groups = [str(n % 20) for n in range(4000)]
    assert metrics.mean_rank_variance(ranks, groups, 1000) == pytest.approx(1 / 12, rel=0.03)


def test_mean_rank_variance_needs_two_queries_of_a_group():
    assert np.isnan(metrics.mean_rank_variance([np.array([1]), np.array([2])], ["a", "b"], 5))
