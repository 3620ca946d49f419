"""Losses in which an item may match several others: against slow loops, their gradients, claims."""

import math

import pytest
import torch
from literal import dot, softmax_of, units
from torch.nn.functional import normalize

from exmcr.training import many_to_many as losses
from exmcr.training.objectives import infonce


def descend(parameter, loss, steps=100, lr=0.05):
    optimizer = torch.optim.Adam([parameter], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def test_conditional_transport_equals_loops():
    a, b, tau = units(5, 4, 0), units(3, 4, 1), 0.3
    there = back = 0.0
    for i in range(5):
        row = [dot(a[i], v) for v in b]
        there += sum(p * (1 - s) for p, s in zip(softmax_of(row, tau), row)) / 5
    for j in range(3):
        row = [dot(u, b[j]) for u in a]
        back += sum(p * (1 - s) for p, s in zip(softmax_of(row, tau), row)) / 3
    assert float(losses.conditional_transport(a, b, tau)) == pytest.approx((there + back) / 2)


@pytest.mark.parametrize("others", [(), ((0, 1),), ((0, 1), (2, 4))])
def test_sdm_equals_loops(others):
    a, b, tau = units(5, 4, 0), units(5, 4, 1), 0.5
    match = [[i == j or (i, j) in others or (j, i) in others for j in range(5)] for i in range(5)]
    total = 0.0
    for left, right in ((a, b), (b, a)):
        for i in range(5):
            p = softmax_of([dot(left[i], v) for v in right], tau)
            q = [float(m) / sum(match[i]) + 1e-8 for m in match[i]]
            total += sum(u * math.log(u / v) for u, v in zip(p, q)) / 5
    assert float(losses.sdm(a, b, torch.tensor(match), tau)) == pytest.approx(total)


@pytest.mark.parametrize("k", [1, 3])
def test_one_to_k_equals_loops(k):
    one, many, tau, n = units(4, 5, 0), [units(4, 5, 1 + s) for s in range(k)], 0.4, 4
    there = back = 0.0
    for i in range(n):
        p = softmax_of([dot(one[i], v) for side in many for v in side], tau)
        there -= sum(math.log(p[s * n + i]) for s in range(k)) / (n * k)
        for side in many:
            back -= math.log(softmax_of([dot(side[i], v) for v in one], tau)[i]) / (n * k)
    assert float(losses.one_to_k(one, many, tau)) == pytest.approx((there + back) / 2)


def test_one_to_one_is_infonce():
    a, b = units(6, 4, 0), units(6, 4, 1)
    assert torch.allclose(losses.one_to_k(a, [b], 0.1), infonce(a, b, 0.1))


def test_gradients_are_those_of_the_values():
    a, b, c = (units(4, 3, seed).requires_grad_() for seed in range(3))
    match = torch.eye(4, dtype=torch.bool)
    check = torch.autograd.gradcheck
    assert check(lambda u, v: losses.conditional_transport(u, v, 0.3), (a, b))
    assert check(lambda u, v: losses.sdm(u, v, match, 0.3), (a, b))
    assert check(lambda u, v, w: losses.one_to_k(u, [v, w], 0.3), (a, b, c))


def test_transport_brings_a_set_to_another_without_pairs_and_does_not_find_the_pairs():
    """The claim, and its limit: the sets coincide, but not item by item."""
    target = units(12, 6, 0)
    moved = (units(1, 6, 3) + 0.3 * units(12, 6, 1)).requires_grad_()
    before = losses.conditional_transport(normalize(moved), target, 0.1).item()
    descend(moved, lambda: losses.conditional_transport(normalize(moved), target, 0.1))
    similarity = normalize(moved.detach()) @ target.T
    after = losses.conditional_transport(normalize(moved.detach()), target, 0.1).item()
    assert after < 0.3 * before
    assert similarity.max(dim=1).values.mean() > 0.9
    right = (similarity.argmax(dim=1) == torch.arange(12)).double().mean()
    assert right < 0.5


def test_sdm_lets_items_that_match_share_and_infonce_pushes_them_apart():
    target = units(6, 4, 0).repeat_interleave(2, dim=0)  # two of each
    match = target @ target.T > 0.99
    kept = {}
    for name in ("sdm", "infonce"):
        own = units(12, 4, 1).requires_grad_()
        loss = {
            "sdm": lambda: losses.sdm(normalize(own), target, match, 0.2),
            "infonce": lambda: losses.sdm(normalize(own), target, torch.eye(12, dtype=bool), 0.2),
        }[name]
        descend(own, loss)
        kept[name] = loss().item()
    assert kept["sdm"] < 0.5 * kept["infonce"], "without the matches the loss cannot fall"


def test_one_to_k_treats_counterparts_alike():
    """With two languages of which one is nearer, both are pulled; the gradient on each is equal at
    equal similarity, and a batch of one has no loss beyond the choice between them."""
    one = units(1, 4, 0)
    assert float(losses.one_to_k(one, [one, one], 0.1)) == pytest.approx(math.log(2) / 2)
    a, b = units(5, 4, 1).requires_grad_(), units(5, 4, 1).requires_grad_()
    losses.one_to_k(units(5, 4, 2), [a, b], 0.2).backward()
    assert torch.allclose(a.grad, b.grad)
