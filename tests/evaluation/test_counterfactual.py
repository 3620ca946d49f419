"""Counterfactual recognition against scikit-learn, and in cases with a known answer."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from exmcr.evaluation import counterfactual
from exmcr.evaluation.counterfactual import average_precision, max_f1, score


@pytest.mark.parametrize("seed", range(3))
def test_both_metrics_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    matched, mismatched = rng.normal(0.5, 1, 40), rng.normal(0, 1, 40)
    truth, scores = np.repeat([1, 0], 40), np.concatenate([matched, mismatched])
    assert average_precision(matched, mismatched) == pytest.approx(
        average_precision_score(truth, scores)
    )
    precision, recall, _ = precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert max_f1(matched, mismatched) == pytest.approx(f1.max())
    coarse = np.round(scores, 0)  # ties: a threshold cannot part them
    precision, recall, _ = precision_recall_curve(truth, coarse)
    assert max_f1(coarse[:40], coarse[40:]) == pytest.approx(
        (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    )


def test_perfect_and_worst_and_ties():
    up, down = np.arange(5.0) + 10, np.arange(5.0)
    assert average_precision(up, down) == 1 and max_f1(up, down) == 1
    assert average_precision(down, up) == pytest.approx(np.mean(np.arange(1, 6) / np.arange(6, 11)))
    assert average_precision(np.zeros(5), np.zeros(5)) == average_precision(down, up), (
        "ties count against the method"
    )
    assert max_f1(np.zeros(5), np.zeros(5)) == pytest.approx(2 / 3)


def test_chance_is_the_mean_of_random_orders():
    rng = np.random.default_rng(0)
    found = [average_precision(rng.random(8), rng.random(8)) for _ in range(4000)]
    assert np.mean(found) == pytest.approx(counterfactual.chance(8)["ap"], abs=0.01)


def test_intervals_hold_the_value_and_narrow_with_images():
    rng = np.random.default_rng(1)
    few = score(rng.normal(1, 1, 20), rng.normal(0, 1, 20))
    many = score(rng.normal(1, 1, 500), rng.normal(0, 1, 500))
    for value, low, high in (*few.values(), *many.values()):
        assert low <= value <= high
    assert many["ap"][2] - many["ap"][1] < (few["ap"][2] - few["ap"][1]) / 2
    assert score(rng.random(9), rng.random(9), seed=1) != score(
        rng.random(9), rng.random(9), seed=1
    )


def test_wrong_input_is_refused():
    for wrong in (
        (np.ones(3), np.ones(2)),
        (np.ones(0), np.ones(0)),
        (np.array([np.nan]), np.ones(1)),
    ):
        with pytest.raises(ValueError, match="needed"):
            score(*wrong)
