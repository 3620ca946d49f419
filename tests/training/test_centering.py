"""A projector trained on centered vectors takes vectors as they are."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.training.centering import absorb_mean
from exmcr.training.projectors import Projector


def rows(n=400, d=8, offset=2.0):
    draw = np.random.default_rng(0)
    v = draw.normal(size=(n, d))
    v = v / np.linalg.norm(v, axis=1, keepdims=True) + offset * np.eye(d)[0]
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


def test_f_l_becomes_the_one_that_subtracts_the_mean_first():
    torch.manual_seed(0)
    projector, x = Projector(8, 6, 16).eval(), torch.from_numpy(rows())
    torch.nn.init.normal_(projector.Head1.weight)
    torch.nn.init.normal_(projector.Head1.bias)
    weight, bias = (p.detach().clone() for p in projector.Head1.parameters())
    mean = x.mean(dim=0)
    length = (x - mean).norm(dim=1).mean()
    expected = (x - mean) / length @ weight.T + bias
    absorb_mean(projector, x.numpy())
    assert torch.allclose(projector.intra(x), expected, atol=1e-5)


def test_its_outputs_are_nearly_those_of_centered_vectors():
    torch.manual_seed(0)
    projector, x = Projector(8, 6, 16).eval(), torch.from_numpy(rows())
    centered = normalize(x - x.mean(dim=0), dim=1)
    expected = projector(centered)
    absorb_mean(projector, x.numpy())
    assert (projector(x) * expected).sum(dim=1).mean() > 0.95


@pytest.mark.parametrize("depth", [0, 1])
def test_another_f_l_cannot_absorb_a_mean(depth):
    with pytest.raises(ConfigError, match="linear f_l"):
        absorb_mean(Projector(8, 6, 16, depth_intra=depth), rows())
