"""The linear map that InfoNCE trains: its loss against loops, and what it may and may not see."""

import numpy as np
import pytest
import torch

from exmcr.kernels import contrast
from exmcr.spaces.mini import linear


def norm(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def unit_rows(n, d, seed):
    return norm(np.random.default_rng(seed).normal(size=(n, d)))


def test_the_loss_is_infonce_in_both_directions_with_all_items_of_a_text_as_positives():
    items, texts, tau = unit_rows(5, 8, 0), unit_rows(5, 8, 1), 0.2
    texts[3] = texts[0]
    logits, same = items @ texts.T / tau, [[0, 3], [1], [2], [0, 3], [4]]

    def term(row, own):
        return np.mean([np.log(np.exp(row).sum()) - row[j] for j in own])

    expected = np.mean([term(logits[i], same[i]) + term(logits.T[i], same[i]) for i in range(5)])
    found = linear.infonce(torch.tensor(items), torch.tensor(texts), tau)
    assert found.item() == pytest.approx(expected / 2)


def test_with_distinct_texts_the_loss_is_that_of_the_projectors():
    items, texts = (torch.tensor(unit_rows(6, 8, seed)) for seed in (0, 1))
    expected = contrast.infonce(items, texts, 0.2)
    assert linear.infonce(items, texts, 0.2).item() == pytest.approx(expected.item())


def test_a_held_out_prediction_is_of_a_regression_without_the_group():
    rng = np.random.default_rng(0)
    x, goals = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    kernel = np.exp(-((x[:, None] - x) ** 2).sum(2)) + 0.1 * np.eye(12)
    groups = np.array(list("abcdabcdeabc"))
    found = linear.held_out(kernel, goals, groups)
    # Four folds of five groups: "a" and "e" share one.
    for fold in ("ae", "b", "c", "d"):
        own = np.isin(groups, list(fold))
        fitted_without = np.linalg.solve(kernel[~own][:, ~own], goals[~own])
        np.testing.assert_allclose(found[own], kernel[own][:, ~own] @ fitted_without, atol=1e-10)


def test_with_one_group_nothing_is_predicted():
    assert not linear.held_out(np.eye(3), np.ones((3, 2)), np.zeros(3)).any()


def test_the_map_brings_items_that_it_has_not_seen_nearer_to_their_texts():
    """Texts are a linear function of the appearance, and the vectors so far are noise."""
    rng = np.random.default_rng(0)
    appearance, hidden = rng.normal(size=(300, 20)) + 5, rng.normal(size=(20, 32))
    texts = norm((appearance - 5) @ hidden)
    vectors = norm(texts + 2 * rng.normal(size=texts.shape))
    settings = {"steps": 100, "tau": 0.15, "seed": 0}
    matrix, offset = linear.fit(vectors[:200], appearance[:200], texts[:200], settings)
    moved = norm(vectors[200:] + appearance[200:] @ matrix - offset)

    def right(rows):
        return (np.argmax(rows @ texts[200:].T, axis=1) == np.arange(100)).mean()

    assert right(moved) > right(vectors[200:]) + 0.1
