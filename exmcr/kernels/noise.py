"""Gaussian noise on the rows of a batch, C-MCR's semantic completion (arXiv:2305.14381, section 3.2).

On a CPU torch's generator makes one number after the other, and a training step would spend a fifteenth of its time on them. Here number k
depends on k alone, so that a loop makes many at once, and a row is normalized while it is in the cache. numba compiles it."""

import numpy as np
import torch
from numba import njit

DRAWS = "splitmix64, erfinv"  # what seeds mean: a run that began with other draws is not continued

# SplitMix64: what the counter goes up by, and the two multipliers of its mixer (Steele, Lea, Flood, OOPSLA 2014).
_STEP, _MIX_1, _MIX_2 = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _float32(*values):
    return tuple(map(np.float32, values))


# log(1 + m) = m - m^2 / 2 + m^3 P(m) for 1 + m in [sqrt(1/2), sqrt(2)): logf of Cephes, https://netlib.org/cephes
_LOG = _float32(
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
# erfinv(x) = x P(w - 2.5) for w = -log(1 - x^2) < 5, and else x P(sqrt(w) - 3). M. Giles, Approximating the erfinv function, table 1,
# in GPU Computing Gems, 2011, https://people.maths.ox.ac.uk/gilesm/files/gems_erfinv.pdf
_CENTER = _float32(
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_TAIL = _float32(
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)
_HALF, _ONE, _LOG_2, _ROOT_2 = _float32(0.5, 1, np.log(2), 2**0.5)
# A float32 as an integer: 23 bits of mantissa, above them the exponent.
_MANTISSA, _BITS_OF_ROOT_HALF = np.int32(2**23 - 1), np.float32(0.5**0.5).view(np.int32)


def _compiled(**options):
    """numba.njit, kept on disk for the next process wherever a folder for that can be written."""

    def compile(function):
        try:
            return njit(cache=True, **options)(function)
        except (
            RuntimeError
        ):  # "no locator available": neither beside this file nor in the user's own cache
            return njit(**options)(function)

    return compile


@njit
def _random_bits(seed, out):
    """SplitMix64 from state `seed` into out, uint64."""
    for k in range(out.size):
        z = seed + np.uint64(k + 1) * _STEP
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        out[k] = z ^ (z >> np.uint64(31))


# Products and sums may be contracted here, but not reordered: 1 + x must not become the sum of what x is made of.
@njit(fastmath={"contract"})
def _polynomial(x, a, b, c, d, e, f, g, h, i):
    """a x^8 + b x^7 + ... + i, in an order in which few of the products have to wait for another (Estrin's)."""
    x2 = x * x
    x4 = x2 * x2
    return ((h * x + i) + (f * x + g) * x2) + (((d * x + e) + (b * x + c) * x2) + a * x4) * x4


@njit(fastmath={"contract"})
def _normal(bits, x, log, out):
    """N(0, 1) = sqrt(2) erfinv(x), x uniform in (-1, 1) from random bits, int32, into out, float32. x and log are scratch of that size.

    Three loops, so that each is simple enough to be done sixteen numbers at a time."""
    as_integer = out.view(np.int32)
    for j in range(out.size):
        x[j] = (np.float32(bits[j] >> 8) + _HALF) * np.float32(2**-23)
        out[j] = (_ONE - x[j]) * (_ONE + x[j])
    for j in range(
        out.size
    ):  # 1 - x^2 = 2^exponent (1 + m), 1 + m in [sqrt(1/2), sqrt(2)), which is left in out
        above = as_integer[j] - _BITS_OF_ROOT_HALF
        log[j] = np.float32(above >> 23) * _LOG_2
        as_integer[j] = (above & _MANTISSA) + _BITS_OF_ROOT_HALF
    for j in range(out.size):
        m = out[j] - _ONE
        w = -(log[j] + (m - _HALF * m * m + m * m * m * _polynomial(m, *_LOG)))
        center = _polynomial(w - np.float32(2.5), *_CENTER)
        tail = _polynomial(np.sqrt(max(w, np.float32(0))) - np.float32(3), *_TAIL)
        out[j] = _ROOT_2 * x[j] * (center if w < np.float32(5) else tail)


# The sum of squares in any order, which is what lets it be done many at a time; infinity and NaN stay what they are.
@_compiled(fastmath={"contract", "reassoc"})
def _noisy(rows, deviation, seed, out):
    """normalize(rows + deviation N(0, 1)) into out, (n, d), float32. All rows draw from one stream, one after the other."""
    n, d = rows.shape
    words = np.empty((d + 1) // 2, np.uint64)
    bits = words.view(np.int32)[:d]
    noise, x, log = np.empty(d, np.float32), np.empty(d, np.float32), np.empty(d, np.float32)
    for i in range(n):
        _random_bits(seed + np.uint64(i * words.size) * _STEP, words)
        _normal(bits, x, log, noise)
        total = np.float32(0)
        for j in range(d):
            value = rows[i, j] + deviation * noise[j]
            out[i, j] = value
            total += value * value
        scale = _ONE / max(np.sqrt(total), np.float32(1e-12))
        for j in range(d):
            out[i, j] *= scale


def add_noise(
    batch: dict[str, torch.Tensor], variance: float, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """normalize(e + N(0, variance)) of every embedding of a batch ({part: (n, d)}), each with draws of its own, without gradient.

    float32 on a CPU takes a seed for each part from the generator, the rest all its numbers. No variance gives the batch itself."""
    return (
        batch
        if variance == 0
        else {part: _add(rows.detach(), variance**0.5, generator) for part, rows in batch.items()}
    )


def _add(rows, deviation, generator):
    out = torch.empty_like(rows, memory_format=torch.contiguous_format)
    if rows.device.type == "cpu" and rows.dtype == torch.float32:
        seed = torch.empty((), dtype=torch.int64, device="cpu").random_(generator=generator)
        _noisy(
            rows.contiguous().numpy(), np.float32(deviation), np.uint64(seed.item()), out.numpy()
        )
        return out
    out.normal_(0, deviation, generator=generator).add_(rows)
    return out.div_(torch.linalg.vector_norm(out, dim=1, keepdim=True).clamp_(min=1e-12))
