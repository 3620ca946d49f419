"""The Ex-MCR objective against slow loops in float64, and its gradients, in plain code and by kernels."""

import math
from itertools import chain, combinations

import pytest
import torch
from literal import units

from exmcr import kernels
from exmcr.kernels import contrast
from exmcr.training import objectives

SUBSETS = list(chain.from_iterable(combinations(objectives.TERMS, k) for k in range(1, 5)))


@pytest.fixture(params=["kernels", "plain"])
def mode(request):
    if request.param == "kernels":
        yield
    else:
        with kernels.plain():
            yield


def literal_infonce(a, b, tau):
    n, total = len(a), 0.0
    cosine = [[sum(float(p) * float(q) for p, q in zip(u, v)) for v in b] for u in a]
    for i in range(n):
        total -= math.log(
            math.exp(cosine[i][i] / tau) / sum(math.exp(cosine[i][j] / tau) for j in range(n))
        )
        total -= math.log(
            math.exp(cosine[i][i] / tau) / sum(math.exp(cosine[j][i] / tau) for j in range(n))
        )
    return total / (2 * n)


def test_intra_is_the_mean_squared_distance(mode):
    a, b = units(5, 4, 0) * 2, units(5, 4, 1)
    literal = sum(sum((float(p) - float(q)) ** 2 for p, q in zip(u, v)) for u, v in zip(a, b)) / 5
    assert float(objectives.intra_loss(a, b)) == pytest.approx(literal, rel=1e-12)


@pytest.mark.parametrize("tau", [0.015, 0.05, 0.5])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_infonce_equals_its_definition(n, tau, mode):
    a, b = units(n, 6, 2), units(n, 6, 3)
    assert float(objectives.infonce(a, b, tau)) == pytest.approx(
        literal_infonce(a, b, tau), rel=1e-10, abs=1e-12
    )


def test_infonce_is_symmetric_and_falls_to_zero_for_matching_pairs(mode):
    a, b = units(6, 8, 4), units(6, 8, 5)
    assert torch.allclose(objectives.infonce(a, b, 0.1), objectives.infonce(b, a, 0.1))
    far = torch.eye(6, dtype=torch.float64)
    assert objectives.infonce(far, far, 0.05) < 1e-7
    assert objectives.infonce(far, far.roll(1, 0), 0.05) > 19


@pytest.mark.parametrize("terms", SUBSETS, ids="+".join)
def test_dense_is_the_mean_of_its_terms(terms, mode):
    x, o, o_base, y = (units(5, 6, seed) for seed in range(4))
    sides = {"x": x, "o": o}, {"o": o_base, "y": y}
    literal = sum(literal_infonce(sides[0][t[0]], sides[1][t[2]], 0.07) for t in terms) / len(terms)
    assert float(
        objectives.dense_loss(torch.stack([x, o]), torch.stack([o_base, y]), 0.07, terms)
    ) == pytest.approx(literal, rel=1e-10)


def test_dense_takes_all_four_terms_by_default(mode):
    ours, base = units(10, 6, 0).view(2, 5, 6), units(10, 6, 1).view(2, 5, 6)
    assert set(objectives.TERMS) == {"x-o", "o-o", "x-y", "o-y"}
    assert objectives.dense_loss(ours, base, 0.07) == objectives.dense_loss(
        ours, base, 0.07, objectives.TERMS
    )


def test_a_term_that_is_left_out_has_no_gradient(mode):
    ours, base = (units(8, 5, seed).view(2, 4, 5).requires_grad_() for seed in range(2))
    objectives.dense_loss(ours, base, 0.1, ["x-o"]).backward()
    for grad in (ours.grad, base.grad):
        assert grad[0].abs().sum() > 0 and grad[1].abs().sum() == 0


@pytest.mark.parametrize("span", [contrast.SPAN, 0])
@pytest.mark.parametrize("tau", [0.03, 0.2])
def test_gradients_are_those_of_the_values(tau, span, mode, monkeypatch):
    """Span 0: the largest logits are subtracted, as at low temperatures."""
    monkeypatch.setattr(contrast, "SPAN", span)
    a, b = (units(4, 3, seed).requires_grad_() for seed in range(2))
    ours, base = (units(6, 3, seed).view(2, 3, 3).requires_grad_() for seed in range(2))
    assert torch.autograd.gradcheck(lambda *v: objectives.intra_loss(*v), (a, b))
    assert torch.autograd.gradcheck(lambda *v: objectives.infonce(*v, tau), (a, b))
    for terms in (objectives.TERMS, ["x-o", "x-y"], ["x-o", "o-o"], ["x-o", "o-o", "o-y"]):
        assert torch.autograd.gradcheck(
            lambda *v: objectives.dense_loss(*v, tau, terms), (ours, base)
        )


@pytest.mark.parametrize("tau", [2 * contrast.LOG2_E / contrast.SPAN * 1.01, 0.05, 1.0])
def test_one_exponential_for_rows_and_columns_is_as_good_as_two(tau, monkeypatch):
    """In float32, at the lowest temperature at which one is used, with the largest and the smallest possible logits."""
    a, b = units(64, 16, 0), units(64, 16, 1)
    b[:8], b[8:16] = a[:8], -a[8:16]
    exact, results = [], {}
    for dtype, span, into in (
        (torch.float64, 0, exact),
        (torch.float32, contrast.SPAN, results.setdefault("near", [])),
        (torch.float32, 0, results.setdefault("far", [])),
    ):
        monkeypatch.setattr(contrast, "SPAN", span)
        sides = [side.to(dtype).requires_grad_() for side in (a, b)]
        loss = contrast.infonce(*sides, tau)
        into += [loss.detach(), *torch.autograd.grad(loss, sides)]
    for name, values in results.items():
        for one, right in zip(values, exact, strict=True):
            assert (one.double() - right).abs().max() < 1e-5 * right.abs().max(), name
