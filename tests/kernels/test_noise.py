"""Noise: its distribution, its independence, and what is done with it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import normalize

from exmcr.kernels import noise
from exmcr.kernels.noise import add_noise


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_variance_gives_the_batch_itself():
    batch = {"x": torch.randn(3, 4)}
    assert add_noise(batch, 0, seeded()) is batch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 63, 64, 130])
def test_rows_have_unit_norm_and_the_stated_variance_round_the_embedding(d, dtype):
    rows = normalize(torch.randn(4000, d, dtype=dtype), dim=1)
    kept = rows.clone()
    noisy = add_noise({"x": rows.T.contiguous().T}, 0.004, seeded())["x"]
    assert torch.equal(rows, kept) and noisy.dtype == dtype and noisy.is_contiguous()
    assert torch.allclose(noisy.norm(dim=1), torch.ones(4000, dtype=dtype), atol=1e-5)
    # |e + n| is about sqrt(1 + d s^2), of which 1 lies along e.
    if d > 1:
        assert float((noisy * rows).sum(1).mean()) == pytest.approx(
            (1 + (d - 1) * 0.004) ** -0.5, abs=0.002
        )


def drawn(n, seed):
    """Noise alone: on rows of zeros, before they are normalized."""
    words = np.empty(n // 2, np.uint64)
    noise._random_bits(np.uint64(seed), words)
    out = np.empty(n, np.float32)
    noise._normal(words.view(np.int32), np.empty_like(out), np.empty_like(out), out)
    return words, out


def test_the_counter_is_splitmix64():
    """Against integers of Python; the first of state 0 is the constant of its authors' reference."""

    def reference(state):
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    for seed in (0, 12345, 2**63 - 1):
        words, _ = drawn(200, seed)
        assert words.tolist() == [
            reference((seed + (k + 1) * 0x9E3779B97F4A7C15) % 2**64) for k in range(100)
        ]
    assert drawn(2, 0)[0][0] == 0xE220A8397B1DCDAF


def test_draws_are_the_quantiles_of_their_bits():
    """In the middle and in both tails, at the last numbers there are."""
    bits = np.concatenate(
        [
            np.linspace(-(2**31), 2**31 - 1, 100_001),
            2**31 - 2.0 ** np.arange(8, 31),
            -(2**31) + 2.0 ** np.arange(8, 31),
        ]
    ).astype(np.int32)
    found = np.empty(bits.size, np.float32)
    noise._normal(bits, np.empty_like(found), np.empty_like(found), found)
    x = ((bits >> 8).astype(np.float64) + 0.5) / 2**23
    exact = np.sign(x) * -stats.norm.ppf((1 - np.abs(x)) / 2)
    assert np.abs(found - exact).max() < 5e-6
    assert found.max() == -found.min() > 5.2


def test_a_million_draws_are_normal_and_independent():
    _, one = drawn(2**20, 1)
    _, other = drawn(2**20, 2)
    assert stats.kstest(one, "norm").pvalue > 0.01
    for power in (1, 2):  # neighbors, halves of one word, the same place after another seed
        for a, b in ((one[:-1], one[1:]), (one[::2], one[1::2]), (one, other)):
            assert abs(np.corrcoef(a**power, b**power)[0, 1]) < 5 / len(a) ** 0.5


@pytest.mark.parametrize("n, d", [(7, 64), (5, 2), (300, 512)])
def test_rows_draw_one_after_the_other_from_the_stream_of_the_seed(n, d):
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=seeded(3)))
    rows = normalize(torch.randn(n, d), dim=1)
    expected = normalize(rows + 0.3 * torch.from_numpy(drawn(n * d, seed)[1]).view(n, d), dim=1)
    assert torch.allclose(add_noise({"x": rows}, 0.09, seeded(3))["x"], expected, atol=1e-6)


def test_an_odd_row_leaves_half_a_word_to_no_one():
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=seeded(3)))
    expected = normalize(torch.from_numpy(drawn(4 * 6, seed)[1]).view(4, 6)[:, :5], dim=1)
    assert torch.allclose(
        add_noise({"x": torch.zeros(4, 5)}, 1.0, seeded(3))["x"], expected, atol=1e-6
    )


def test_it_does_not_depend_on_torchs_defaults():
    rows = normalize(torch.randn(4, 6), dim=1)
    expected = add_noise({"x": rows}, 0.1, seeded())["x"]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            found = add_noise({"x": rows}, 0.1, seeded())["x"]
    finally:
        torch.set_default_dtype(before)
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def test_without_a_folder_for_what_is_compiled_it_is_compiled_each_time(tmp_path):
    """What is kept is a convenience: a read-only installation trains too."""
    copy = tmp_path / "copied.py"
    copy.write_text(Path(noise.__file__).read_text())
    (tmp_path / "__pycache__").write_text("in the way")
    code = "import sys, torch; sys.path.insert(0, sys.argv[1]); import copied; print(copied.add_noise({'x': torch.ones(2, 4)}, 0.1, torch.Generator())['x'].norm())"
    nowhere = {
        name: value
        for name, value in os.environ.items()
        if name not in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
    } | {"HOME": os.devnull}
    ran = subprocess.run(
        [sys.executable, "-B", "-c", code, tmp_path], env=nowhere, capture_output=True, text=True
    )
    assert ran.returncode == 0 and "1." in ran.stdout, ran.stderr


def test_every_part_row_and_call_has_draws_of_its_own_and_a_seed_repeats_them():
    batch = {"x": torch.zeros(50, 30), "y": torch.zeros(50, 30)}
    generator = seeded(3)
    first, second = add_noise(batch, 1.0, generator), add_noise(batch, 1.0, generator)
    rows = torch.cat([*first.values(), *second.values()])
    assert torch.unique(rows.round(decimals=3), dim=0).shape == rows.shape
    cosines = rows @ rows.T - torch.eye(len(rows))
    assert float(cosines.abs().max()) < 0.8
    again = add_noise(batch, 1.0, seeded(3))
    assert all(torch.equal(first[part], again[part]) for part in batch)


def test_what_is_not_a_number_stays_so():
    rows = torch.ones(3, 8)
    rows[1, 2] = float("nan")
    noisy = add_noise({"x": rows}, 0.01, seeded())["x"]
    assert bool(noisy[1].isnan().all()) and bool(noisy[[0, 2]].isfinite().all())
