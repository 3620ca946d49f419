"""Every kernel equals the plain code that it replaces, and one switch chooses between them."""

import os
import subprocess
import sys
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from exmcr import kernels
from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.kernels import aggregate as fast
from exmcr.kernels import contrast
from exmcr.pairing import aggregation, pairs
from exmcr.pairing.pools import PARTS, Pools
from exmcr.training import loop, objectives
from exmcr.training.losses import LOSSES
from exmcr.training.projectors import Projector

ROOT = Path(__file__).parents[2]
SUBSETS = list(chain.from_iterable(combinations(objectives.TERMS, k) for k in range(1, 5)))
# Differences are relative to the largest entry.
BOUND = {torch.float64: 1e-12, torch.float32: 1e-5}
CPU = torch.device("cpu")


def units(*shape, seed=0, dtype=torch.float32):
    """Unit rows around a common direction, like real embeddings."""
    draws = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return normalize(draws + 0.3, dim=-1).to(dtype)


def assert_equal(one, other, bound):
    assert one.dtype == other.dtype and one.shape == other.shape
    assert (one - other).abs().max() <= bound * other.abs().max().clamp(min=1)


# --- pairing ---


@pytest.mark.parametrize("tau", [0.005, 0.01, 0.05, 1.0])
@pytest.mark.parametrize("n, m", [(1, 1), (1, 700), (40, 3), (300, 2500)])
def test_the_aggregation_kernel_equals_the_formula(n, m, tau):
    queries, keys, values = units(n, 48, seed=1), units(m, 48, seed=2), units(m, 20, seed=3)
    expected = aggregation.softmax_aggregation(queries, keys, values, tau)
    (result,) = fast.aggregate(queries, keys, values, tau, tile=(64, 512), device="cpu").values
    assert_equal(result, expected, 1e-6 + 3e-7 / tau)


@pytest.mark.parametrize("kind", [np.float16, np.float64, torch.Tensor])
def test_the_switch_chooses_the_aggregation(kind, monkeypatch):
    banks = [units(30, 16, seed=1), units(90, 16, seed=2), units(90, 8, seed=3)]
    if kind is not torch.Tensor:
        banks = [bank.numpy().astype(kind) for bank in banks]
    queries, keys, values = banks
    calls, kernel = [], fast.aggregate
    monkeypatch.setattr(fast, "aggregate", lambda *a, **k: calls.append(1) or kernel(*a, **k))
    by_kernel = aggregation.aggregate(queries, keys, [keys, values], 0.05, "cpu")
    assert len(calls) == 1
    with kernels.plain():
        by_formula = aggregation.aggregate(queries, keys, [keys, values], 0.05, "cpu")
    assert len(calls) == 1
    for one, other in zip(by_kernel, by_formula, strict=True):
        assert type(one) is type(other) is np.ndarray
        assert_equal(torch.from_numpy(one), torch.from_numpy(other), 1e-5)


@pytest.fixture
def pools():
    return Pools(
        units(50, 24, seed=1).numpy(),
        units(70, 24, seed=2).numpy(),
        units(70, 16, seed=3).numpy(),
        units(60, 16, seed=4).numpy(),
    )


@pytest.mark.parametrize("tau", [0.01, 0.05])
@pytest.mark.parametrize("center", pairs.CENTERS)
def test_pseudo_pairs_are_the_same_with_and_without_kernels(pools, center, tau):
    by_kernel = pairs.quadruples(pools, center, tau)
    with kernels.plain():
        by_formula = pairs.quadruples(pools, center, tau)
    assert set(by_kernel) == set(by_formula) == set(PARTS)
    for part in PARTS:
        one, other = by_kernel[part], by_formula[part]
        assert one.dtype == other.dtype == np.float32
        # An error of the first aggregation is amplified by 1 / tau in the second.
        assert np.abs(one - other).max() < 1e-6 + 1e-6 / tau, part


def test_both_aggregations_refuse_the_same_input():
    queries, keys = units(5, 8, seed=1).numpy(), units(9, 8, seed=2).numpy()
    broken = keys.copy()
    broken[4, 1] = np.nan
    cases = {
        "tau": (queries, keys, [keys], 0.0),
        "rows and widths": (queries[:, :7], keys, [keys], 0.1),
        r"values\[1\] has shape": (queries, keys, [keys, keys[:3]], 0.1),
        "keys: row 4 is not finite": (queries, broken, [keys], 0.1),
        r"values\[0\]: row 4 is not finite": (queries, keys, [broken], 0.1),
    }
    cases[r"\(5, 7\)"] = cases.pop("rows and widths")
    for message, arguments in cases.items():
        with pytest.raises(ConfigError, match=message):
            aggregation.aggregate(*arguments)
        with kernels.plain(), pytest.raises(ConfigError, match=message):
            aggregation.aggregate(*arguments)


# --- losses ---


def value_and_gradients(loss, *inputs):
    inputs = [x.detach().requires_grad_() for x in inputs]
    value = loss(*inputs)
    return [value.detach(), *torch.autograd.grad(value, inputs)]


def both_ways(loss, *inputs):
    """(kernel, plain) pairs of the value and of each gradient."""
    by_kernel = value_and_gradients(loss, *inputs)
    with kernels.plain():
        by_formula = value_and_gradients(loss, *inputs)
    return zip(by_kernel, by_formula, strict=True)


# 0.02 needs the maximum of each row and column, the others do not.
@pytest.mark.parametrize("tau", [0.02, 0.05, 0.5])
@pytest.mark.parametrize("n", [1, 2, 65])
@pytest.mark.parametrize("dtype", BOUND)
def test_infonce_and_its_gradient_equal_the_formula(n, tau, dtype):
    a, b = units(n, 32, seed=1, dtype=dtype), units(n, 32, seed=2, dtype=dtype)
    for one, other in both_ways(lambda *x: objectives.infonce(*x, tau), a, b):
        assert_equal(one, other, BOUND[dtype])


@pytest.mark.parametrize("tau", [0.02, 0.05])
@pytest.mark.parametrize("terms", SUBSETS, ids="+".join)
@pytest.mark.parametrize("dtype", BOUND)
def test_the_dense_loss_and_its_gradient_equal_the_formula(terms, tau, dtype):
    ours, base = units(2, 33, 16, seed=1, dtype=dtype), units(2, 33, 16, seed=2, dtype=dtype)
    for one, other in both_ways(lambda *x: objectives.dense_loss(*x, tau, terms), ours, base):
        assert_equal(one, other, BOUND[dtype])


@pytest.mark.parametrize("dtype", BOUND)
def test_the_intra_loss_and_its_gradient_equal_the_formula(dtype):
    x, o = 2 * units(40, 24, seed=1, dtype=dtype), units(40, 24, seed=2, dtype=dtype)
    for one, other in both_ways(objectives.intra_loss, x, o):
        assert_equal(one, other, BOUND[dtype])


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", BOUND)
def test_every_registered_loss_has_the_same_value_and_gradient_both_ways(name, dtype, through):
    batch = {part: units(24, 16, seed=k, dtype=dtype) for k, part in enumerate(PARTS)}
    settings = {"tau2": 0.05, "lambda": 0.3, "terms": objectives.TERMS} | {
        "overlap_through_fl": through
    }
    results = []
    for mode in (kernels.plain(), torch.enable_grad()):
        torch.manual_seed(0)
        projector = Projector(16, 16, 32).to(dtype)
        with mode:
            losses = LOSSES[name].function(projector, batch, settings)
            losses["total"].backward()
        weights = [p.grad for p in projector.parameters() if p.requires_grad]
        results.append([losses[k].detach() for k in ("intra", "inter", "total")] + weights)
    for one, other in zip(*results, strict=True):
        assert_equal(one, other, 10 * BOUND[dtype])


def test_between_ranks_the_kernels_always_run(monkeypatch):
    """The plain losses would cover the batch of one process only."""
    calls = []
    monkeypatch.setattr(contrast, "infonce", lambda *x: calls.append("infonce"))
    monkeypatch.setattr(contrast, "intra", lambda *x: calls.append("intra"))
    monkeypatch.setattr(contrast, "dense", lambda *x: calls.append("dense"))
    a, both = units(4, 8), units(2, 4, 8)
    with kernels.plain():
        objectives.infonce(a, a, 0.1), objectives.intra_loss(a, a)
        objectives.dense_loss(both, both, 0.1)
        assert not calls
        with distributed.use("a group"):
            objectives.infonce(a, a, 0.1), objectives.intra_loss(a, a)
            objectives.dense_loss(both, both, 0.1)
    assert calls == ["infonce", "intra", "dense"]


# --- training ---

SETTINGS = {
    "steps": 12,
    "batch": 20,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "lambda": 0.1,
    "tau2": 0.05,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
}


# The next BatchNorm subtracts this bias, so its gradient is rounding, which Adam scales up in float32.
WITHOUT_EFFECT = {"Head2.mlp1.net2.1.bias", "Head2.mlp2.net1.1.running_mean"}


def trained(dtype, noise):
    pool = {part: units(60, 16, seed=k, dtype=dtype) for k, part in enumerate(PARTS)}
    torch.manual_seed(0)
    projector = Projector(16, 16, 32).to(dtype)
    history = loop.train(
        projector, pool, SETTINGS | {"noise": noise}, 7, progress=False, device=CPU
    )
    return history, projector.state_dict()


@pytest.mark.parametrize("noise", [0.0, 0.004])
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-10), (torch.float32, 2e-5)])
def test_training_gives_the_same_losses_and_weights_both_ways(noise, dtype, bound):
    """Four epochs of three steps, with the same draws of batches and noise."""
    history, weights = trained(dtype, noise)
    with kernels.plain():
        plain_history, plain_weights = trained(dtype, noise)
    assert [r["steps"] for r in history] == [r["steps"] for r in plain_history] == [3] * 4
    for name in ("intra", "inter", "total"):
        ours, theirs = ([r[name] for r in h] for h in (history, plain_history))
        assert np.allclose(ours, theirs, rtol=0, atol=bound), name
    for name, value in plain_weights.items():
        if dtype == torch.float64 or name not in WITHOUT_EFFECT:
            assert (weights[name].double() - value.double()).abs().max() < 10 * bound, name


def test_the_plain_mode_uses_neither_layers_nor_losses_of_the_kernels(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("a kernel was used")

    monkeypatch.setattr(loop, "TrainingLayers", fail)
    monkeypatch.setattr(contrast._Contrast, "apply", fail)
    with kernels.plain():
        trained(torch.float32, 0.004)
    with pytest.raises(AssertionError, match="a kernel was used"):
        trained(torch.float32, 0.004)


# --- the switch ---


def test_the_switch_restores_itself_after_an_error_and_when_nested():
    assert kernels.enabled()
    with pytest.raises(ZeroDivisionError), kernels.plain():
        assert not kernels.enabled()
        with kernels.plain():
            assert not kernels.enabled()
        assert not kernels.enabled(), "the inner block restores the state of the outer one"
        1 / 0
    assert kernels.enabled()


@pytest.mark.parametrize("value, expected", [("1", "False"), ("0", "True"), ("", "True")])
def test_an_environment_variable_selects_the_plain_code_for_a_process(value, expected):
    code = "from exmcr import kernels\nwith kernels.plain(): pass\nprint(kernels.enabled())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"EXMCR_PLAIN": value, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected
