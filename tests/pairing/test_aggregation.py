"""The plain softmax aggregation against its definition, one query at a time."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from exmcr.pairing.aggregation import aggregate, softmax_aggregation


def units(n, d, seed):
    draws = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return normalize(draws, dim=1)


@pytest.mark.parametrize("tau", [0.05, 1.0])
def test_it_equals_the_formula(tau):
    queries, keys, values = units(3, 4, 0), units(5, 4, 1), units(5, 2, 2)
    result = softmax_aggregation(queries, keys, values, tau)
    for query, row in zip(queries.tolist(), result.tolist()):
        weights = [math.exp(sum(q * k for q, k in zip(query, key)) / tau) for key in keys.tolist()]
        mean = [sum(w * v[c] for w, v in zip(weights, values.tolist())) for c in range(2)]
        assert row == pytest.approx([m / math.hypot(*mean) for m in mean], rel=1e-9)


def test_at_a_low_temperature_it_is_the_value_of_the_nearest_key():
    queries, keys, values = units(6, 8, 0), units(30, 8, 1), units(30, 4, 2)
    nearest = (queries @ keys.T).argmax(dim=1)
    assert torch.allclose(softmax_aggregation(queries, keys, values, 1e-5), values[nearest])


def test_at_a_high_temperature_it_is_the_mean_of_the_values():
    queries, keys, values = units(6, 8, 0), units(30, 8, 1), units(30, 4, 2)
    mean = normalize(values.mean(dim=0), dim=0).expand(6, 4)
    assert torch.allclose(softmax_aggregation(queries, keys, values, 1e6), mean, atol=1e-4)


def test_several_value_banks_share_the_weights():
    queries, keys, values = (units(n, 8, n).numpy() for n in (6, 30, 30))
    together = aggregate(queries, keys, [values, keys], 0.1)
    apart = [aggregate(queries, keys, [bank], 0.1)[0] for bank in (values, keys)]
    assert all(map(np.array_equal, together, apart))
