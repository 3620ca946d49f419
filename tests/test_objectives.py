"""Losses against slow loops in float64, and their gradients."""

import math
from itertools import chain, combinations

import pytest
import torch
from torch.nn.functional import normalize

from exmcr import objectives

SUBSETS = list(chain.from_iterable(combinations(objectives.TERMS, k) for k in range(1, 5)))


def units(n, d, seed):
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


def literal_infonce(a, b, tau):
    n, total = len(a), 0.0
    cosine = [[sum(float(p) * float(q) for p, q in zip(u, v)) for v in b] for u in a]
    for i in range(n):
        total -= math.log(math.exp(cosine[i][i] / tau) / sum(math.exp(cosine[i][j] / tau) for j in range(n)))
        total -= math.log(math.exp(cosine[i][i] / tau) / sum(math.exp(cosine[j][i] / tau) for j in range(n)))
    return total / (2 * n)


def test_intra_is_the_mean_squared_distance():
    a, b = units(5, 4, 0) * 2, units(5, 4, 1)
    literal = sum(sum((float(p) - float(q)) ** 2 for p, q in zip(u, v)) for u, v in zip(a, b)) / 5
    assert float(objectives.intra(a, b)) == pytest.approx(literal, rel=1e-12)


@pytest.mark.parametrize("tau", [0.05, 0.5])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_infonce_equals_its_definition(n, tau):
    a, b = units(n, 6, 2), units(n, 6, 3)
    assert float(objectives.infonce(a, b, tau)) == pytest.approx(literal_infonce(a, b, tau), rel=1e-10, abs=1e-12)


def test_infonce_is_symmetric_and_falls_to_zero_for_matching_pairs():
    a, b = units(6, 8, 4), units(6, 8, 5)
    assert torch.allclose(objectives.infonce(a, b, 0.1), objectives.infonce(b, a, 0.1))
    far = torch.eye(6, dtype=torch.float64)
    assert objectives.infonce(far, far, 0.05) < 1e-7
    assert objectives.infonce(far, far.roll(1, 0), 0.05) > 19


@pytest.mark.parametrize("terms", SUBSETS, ids="+".join)
def test_dense_is_the_mean_of_its_terms(terms):
    x, o, o_base, y = (units(5, 6, seed) for seed in range(4))
    sides = {"x": x, "o": o}, {"o": o_base, "y": y}
    literal = sum(literal_infonce(sides[0][t[0]], sides[1][t[2]], 0.07) for t in terms) / len(terms)
    assert float(objectives.dense(x, o, o_base, y, 0.07, terms)) == pytest.approx(literal, rel=1e-10)


def test_dense_takes_all_four_terms_by_default():
    vectors = [units(5, 6, seed) for seed in range(4)]
    assert set(objectives.TERMS) == {"x-o", "o-o", "x-y", "o-y"}
    assert objectives.dense(*vectors, 0.07) == objectives.dense(*vectors, 0.07, objectives.TERMS)


def test_a_term_that_is_left_out_has_no_gradient():
    x, o, o_base, y = (units(4, 5, seed).requires_grad_() for seed in range(4))
    objectives.dense(x, o, o_base, y, 0.1, ["x-o"]).backward()
    assert x.grad.abs().sum() > 0 and o_base.grad.abs().sum() > 0
    assert o.grad.abs().sum() == 0 and y.grad.abs().sum() == 0


def test_gradients_are_those_of_the_values():
    vectors = [units(4, 3, seed).requires_grad_() for seed in range(4)]
    assert torch.autograd.gradcheck(lambda a, b: objectives.intra(a, b), vectors[:2])
    assert torch.autograd.gradcheck(lambda a, b: objectives.infonce(a, b, 0.2), vectors[:2])
    assert torch.autograd.gradcheck(lambda *v: objectives.dense(*v, 0.2), [v[:3].detach().requires_grad_() for v in vectors])
