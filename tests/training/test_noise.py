"""Semantic completion: the distribution of the noise, and how draws repeat."""

import pytest
import torch
from torch.nn.functional import normalize

from exmcr.training.noise import add_noise


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def units(n, d, dtype=torch.float32):
    return normalize(torch.randn(n, d, generator=seeded(9), dtype=dtype), dim=1)


def test_variance_0_returns_the_batch_and_draws_nothing():
    batch, generator = {"x": units(3, 4)}, seeded()
    state = generator.get_state()
    assert add_noise(batch, 0, generator) is batch
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 63, 130])
def test_rows_have_unit_norm_and_keep_their_type(d, dtype):
    rows = units(4000, d, dtype)
    before = rows.clone()
    noisy = add_noise({"x": rows}, 0.004, seeded())["x"]
    assert torch.equal(rows, before) and noisy.dtype == dtype and noisy.shape == rows.shape
    assert torch.allclose(noisy.norm(dim=1), torch.ones(4000, dtype=dtype), atol=1e-5)


@pytest.mark.parametrize("variance", [0.001, 0.004])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_variance_is_that_of_each_dimension(variance, dtype):
    """|e + n| is about sqrt(1 + d variance), of which 1 lies along e; across e only noise remains."""
    rows, d = units(4000, 64, dtype), 64
    noisy = add_noise({"x": rows}, variance, seeded())["x"]
    along = (noisy * rows).sum(dim=1)
    assert float(along.mean()) == pytest.approx((1 + (d - 1) * variance) ** -0.5, abs=0.002)
    across = (noisy - along[:, None] * rows) / along[:, None]
    assert float(across.square().sum(dim=1).mean()) / (d - 1) == pytest.approx(variance, rel=0.05)


def test_the_noise_is_normal_and_the_same_in_all_dimensions():
    """On rows of zeros the direction of the noise remains, which is uniform on the sphere."""
    noisy = add_noise({"x": torch.zeros(20_000, 8)}, 1.0, seeded())["x"]
    assert float(noisy.mean(dim=0).abs().max()) < 0.02
    assert torch.allclose(noisy.T @ noisy / len(noisy), torch.eye(8) / 8, atol=0.01)


def test_a_seed_repeats_the_draws_and_the_generator_advances():
    batch, generator = {"x": units(20, 6), "y": units(20, 6)}, seeded(3)
    first, second = add_noise(batch, 0.1, generator), add_noise(batch, 0.1, generator)
    again = add_noise(batch, 0.1, seeded(3))
    for part in batch:
        assert torch.equal(first[part], again[part])
        assert not torch.equal(first[part], second[part])
    torch.manual_seed(1)
    other = add_noise(batch, 0.1, seeded(4))
    assert not torch.equal(other["x"], first["x"])


def test_every_part_row_and_call_has_its_own_draws():
    batch = {"x": torch.zeros(50, 30), "y": torch.zeros(50, 30)}
    generator = seeded(3)
    first, second = add_noise(batch, 1.0, generator), add_noise(batch, 1.0, generator)
    rows = torch.cat([*first.values(), *second.values()])
    assert torch.unique(rows.round(decimals=3), dim=0).shape == rows.shape
    cosines = rows @ rows.T - torch.eye(len(rows))
    assert float(cosines.abs().max()) < 0.8


def test_draws_do_not_depend_on_the_memory_layout_or_on_defaults_of_torch():
    rows = units(4, 6)
    expected = add_noise({"x": rows}, 0.1, seeded())["x"]
    assert torch.equal(add_noise({"x": rows.T.contiguous().T}, 0.1, seeded())["x"], expected)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            result = add_noise({"x": rows}, 0.1, seeded())["x"]
    finally:
        torch.set_default_dtype(before)
    assert result.dtype == torch.float32 and torch.equal(result, expected)


def test_the_result_has_no_gradient():
    rows = units(4, 6).requires_grad_()
    assert not add_noise({"x": rows}, 0.1, seeded())["x"].requires_grad


def test_nan_stays_visible():
    rows = torch.ones(3, 8)
    rows[1, 2] = float("nan")
    noisy = add_noise({"x": rows}, 0.01, seeded())["x"]
    assert bool(noisy[1].isnan().all()) and bool(noisy[[0, 2]].isfinite().all())
