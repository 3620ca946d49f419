"""SOTAlign: KLOT against a literal reference, and students that keep what a teacher knows."""

import math

import numpy as np
import pytest
import torch
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods import sotalign as module
from exmcr.methods.maps import Maps, identity
from exmcr.methods.sinkhorn import log_plan
from exmcr.methods.sotalign import KLOT, sotalign

SMALL = {"hidden": 32, "batch": 64, "steps": 20, "lr": 0.003, "rounds": 5}


@pytest.fixture(scope="module")
def known():
    return world(n=300)


def literal_plan(scores, epsilon, rounds=500):
    """Sinkhorn with plain products, until it has converged."""
    n, m = len(scores), len(scores[0])
    kernel = [[math.exp(s / epsilon) for s in row] for row in scores]
    u, v = [1.0] * n, [1.0] * m
    for _ in range(rounds):
        u = [1 / n / sum(k * w for k, w in zip(row, v)) for row in kernel]
        v = [1 / m / sum(kernel[i][j] * u[i] for i in range(n)) for j in range(m)]
    return [[u[i] * kernel[i][j] * v[j] for j in range(m)] for i in range(n)]


def literal_klot(student, teacher):
    """KL of two plans, by loops."""
    p, q = literal_plan(student, 0.3), literal_plan(teacher, 0.2)
    return sum(t * math.log(t / s) for a, b in zip(q, p) for t, s in zip(a, b))


def test_klot_and_its_gradient_equal_loops_and_finite_differences():
    rng = np.random.default_rng(0)
    student, teacher = rng.uniform(-1, 1, (3, 4)), rng.uniform(-1, 1, (3, 4))
    given = torch.tensor(student, requires_grad=True)
    value = KLOT.apply(given, torch.tensor(teacher), 0.3, 0.2, 500)
    assert value.item() == pytest.approx(literal_klot(student.tolist(), teacher.tolist()), rel=1e-6)
    (3 * value).backward()
    step = 1e-5
    for place in ((0, 0), (1, 2), (2, 3)):
        up, down = student.copy(), student.copy()
        up[place] += step
        down[place] -= step
        slope = literal_klot(up.tolist(), teacher.tolist())
        slope = (slope - literal_klot(down.tolist(), teacher.tolist())) / (2 * step)
        assert given.grad[place].item() == pytest.approx(3 * slope, rel=1e-4, abs=1e-7)


def test_klot_is_zero_for_similarities_that_differ_by_a_row_or_column_constant():
    """Plans ignore them; a squared difference would not."""
    rng = np.random.default_rng(1)
    teacher = torch.tensor(rng.uniform(-1, 1, (5, 6)))
    shifted = teacher + torch.tensor(rng.normal(size=(5, 1))) + torch.tensor(rng.normal(size=(6,)))
    assert abs(KLOT.apply(shifted, teacher, 0.3, 0.3, 500).item()) < 1e-9


def test_plans_have_uniform_marginals():
    plan = log_plan(torch.randn(7, 5, dtype=torch.float64), 0.2, 500).exp()
    assert torch.allclose(plan.sum(0), torch.full((5,), 0.2, dtype=torch.float64))
    assert torch.allclose(plan.sum(1), torch.full((7,), 1 / 7, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("teacher", ["ridge", "asif"])
def test_matching_items_are_found_and_the_base_is_unchanged(known, teacher):
    maps = sotalign(known.pools, 0, teacher=teacher, **SMALL)
    assert maps.base is identity and r1(maps, known.x, known.y) > 0.9


def test_a_student_follows_a_teacher_that_sees_what_the_overlap_does_not_show(known, monkeypatch):
    """The overlap shows half of the axes; the unpaired items, through the teacher, show all."""
    turn = np.linalg.lstsq(known.pools.o_leaf, known.pools.o_base, rcond=None)[0]
    axes = np.linalg.svd(known.pools.o_leaf)[2]
    p = known.pools
    flat = p.o_leaf @ axes[:5].T @ axes[:5]
    poor = type(p)(p.x_leaf, flat / np.linalg.norm(flat, axis=1, keepdims=True), p.o_base, p.y_base)

    def informed(pools, seed, **settings):
        return Maps(leaf=lambda x: (x @ turn).astype(np.float32))

    monkeypatch.setitem(module.TEACHERS, "informed", informed)
    taught, alone = (
        sotalign(poor, 0, teacher="informed", weight=weight, **SMALL | {"steps": 40})
        for weight in (3.0, 0.0)
    )
    assert r1(taught, known.x, known.y) > r1(alone, known.x, known.y) + 0.1


def test_an_unknown_teacher_is_refused(known):
    with pytest.raises(ConfigError, match="unknown teacher 'nobody'; known: procrustes"):
        sotalign(known.pools, teacher="nobody")
