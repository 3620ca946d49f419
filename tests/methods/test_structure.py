"""STRUCTURE against a literal reference with gradients, and what it keeps."""

import math

import numpy as np
import pytest
import torch

from exmcr.methods.structure import structure, structure_loss
from exmcr.training.objectives import exmcr_loss
from exmcr.training.projectors import Projector


def literal(before, after, tau, levels):
    """By loops, from the definition of the Jensen-Shannon divergence."""

    def neighbors(rows):
        n = len(rows)
        rows = [[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in rows]
        mean = [sum(column) / n for column in zip(*rows)]
        rows = [[v - m for v, m in zip(row, mean)] for row in rows]
        result = []
        for a in rows:
            weights = [math.exp(sum(u * v for u, v in zip(a, b)) / tau) for b in rows]
            result.append([w / sum(weights) for w in weights])
        return result

    def product(a, b):
        return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]

    p, q = neighbors(after), neighbors(before)
    power_p, power_q, total = p, q, 0.0
    for level in range(1, levels + 1):
        if level > 1:
            power_p, power_q = product(power_p, p), product(power_q, q)
        divergence = 0.0
        for a, b in zip(power_p, power_q):
            mean = [(u + v) / 2 for u, v in zip(a, b)]
            divergence += sum(u * math.log(u / m) for u, m in zip(a, mean)) / 2
            divergence += sum(v * math.log(v / m) for v, m in zip(b, mean)) / 2
        total += divergence / len(p) / level
    return total / levels


@pytest.mark.parametrize("levels", [1, 3])
def test_the_term_and_its_gradient_equal_loops_and_finite_differences(levels):
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    given = torch.tensor(after, requires_grad=True)
    value = structure(torch.tensor(before), given, 0.3, levels)
    assert value.item() == pytest.approx(literal(before.tolist(), after.tolist(), 0.3, levels))
    value.backward()
    for place in ((0, 0), (2, 1), (4, 2)):
        up, down = after.copy(), after.copy()
        up[place] += 1e-5
        down[place] -= 1e-5
        slope = literal(before.tolist(), up.tolist(), 0.3, levels)
        slope = (slope - literal(before.tolist(), down.tolist(), 0.3, levels)) / 2e-5
        assert given.grad[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_a_rotation_costs_nothing_and_a_collapse_does():
    rows = torch.randn(20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    assert abs(structure(rows, rows @ turn).item()) < 1e-12
    assert structure(rows, rows[:, :1] * torch.ones(6)).item() > 0.1


def test_the_loss_is_that_of_ex_mcr_plus_the_weighted_term():
    torch.manual_seed(0)
    parts = ("x_leaf", "o_leaf", "o_base", "y_base")
    batch = {k: torch.nn.functional.normalize(torch.randn(8, 6), dim=1) for k in parts}
    settings = {"tau2": 0.1, "lambda": 1.0, "overlap_through_fl": False}
    settings["terms"] = ["x-o", "o-o", "x-y", "o-y"]
    projector = Projector(6, 6, hidden=12).eval()
    plain = exmcr_loss(projector, batch, settings)["total"]
    ours = projector(batch["x_leaf"]), projector.inter(batch["o_leaf"])
    kept = sum(structure(batch[k], v) for k, v in zip(("x_leaf", "o_leaf"), ours)) / 2
    total = structure_loss(projector, batch, settings, weight=3.0)["total"]
    assert total.item() == pytest.approx((plain + 3 * kept).item(), rel=1e-5)
    none = structure_loss(projector, batch, settings, weight=0.0)["total"]
    assert none.item() == pytest.approx(plain.item(), rel=1e-5)
