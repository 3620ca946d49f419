"""CrossFlow: a velocity field from leaf vectors to base vectors."""

import numpy as np
import pytest
import torch
from synthetic import r1, world
from torch.nn.functional import normalize

from exmcr.methods.baselines import procrustes
from exmcr.methods.crossflow import Flow, crossflow, flow_matching
from exmcr.methods.maps import identity

SMALL = {"hidden": 64, "batch": 128, "steps": 80, "lr": 0.003, "tau1": 0.05}


def units(n, d, seed):
    draw = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, d, generator=draw, dtype=torch.float64), dim=1)


def test_matching_items_are_found_and_vectors_come_closer_than_by_rotation():
    known = world()
    maps, start = crossflow(known.pools, 0, **SMALL), procrustes(known.pools)
    assert maps.base is identity and r1(maps, known.x, known.y) > 0.9
    flowed, turned = ((m.leaf(known.x) * known.o_base).sum(axis=1).mean() for m in (maps, start))
    assert flowed > turned, (flowed, turned)


def test_before_training_it_is_procrustes():
    known = world(n=100)
    start = crossflow(known.pools, 0, **SMALL | {"steps": 1, "lr": 1e-9})
    assert np.allclose(start.leaf(known.x), procrustes(known.pools).leaf(known.x), atol=1e-5)


def test_it_fails_where_one_item_has_two_opposite_partners():
    """A flow without noise has one end for each start."""
    torch.manual_seed(0)
    model = Flow(np.eye(4), 32, 8)
    x = normalize(torch.ones(200, 4), dim=1)
    ends = torch.tensor([[1.0, -1, 0, 0], [-1.0, 1, 0, 0]]).repeat(100, 1) / 2**0.5
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        order = torch.randperm(200)
        flow_matching(model, x, ends[order]).backward()
        optimizer.step()
    assert (model(x) * ends).sum(dim=1).mean().abs() < 0.1


def test_the_loss_equals_loops_and_its_gradients_are_right():
    torch.manual_seed(0)
    model = Flow(np.eye(3, 4), 5, 2).double()
    for parameter in model.field.parameters():
        torch.nn.init.normal_(parameter)
    x, target = units(3, 3, 0), units(3, 4, 1)
    total = 0.0
    for i in range(3):
        t = (i + 0.5) / 3
        z0 = torch.cat([x[i], torch.zeros(1, dtype=torch.float64)])
        z = (1 - t) * z0 + t * target[i]
        v = model.field(torch.cat([z, torch.tensor([t], dtype=torch.float64)])[None])[0]
        total += (v - (target[i] - z0)).square().sum().item()
    assert flow_matching(model, x, target).item() == pytest.approx(total / 3)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda a: flow_matching(model, a, target), (x,))


def test_a_constant_velocity_is_integrated_exactly():
    model = Flow(np.eye(3), 4, 5)
    with torch.no_grad():
        model.field[-1].bias.copy_(torch.tensor([0.0, 2.0, 0.0]))
    x = torch.tensor([[1.0, 0.0, 0.0]])
    assert torch.allclose(model(x), normalize(torch.tensor([[1.0, 2.0, 0.0]]), dim=1), atol=1e-6)
