"""A projector is made and trained as its settings say."""

import pytest
import torch
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.pairing.pools import PARTS
from exmcr.training import losses
from exmcr.training.fit import fit_projector

SETTINGS = {
    "steps": 6,
    "batch": 16,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "noise": 0.004,
    "lambda": 0.1,
    "tau2": 0.1,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
}


@pytest.fixture
def pool():
    widths = dict(zip(PARTS, (8, 8, 6, 6)))
    generator = torch.Generator().manual_seed(0)
    return {
        part: normalize(torch.randn(40, d, generator=generator), dim=1)
        for part, d in widths.items()
    }


def fit(pool, seed=0, settings=SETTINGS, **options):
    return fit_projector(
        pool, settings, seed, progress=False, device=torch.device("cpu"), **options
    )


def test_the_default_is_the_published_architecture_between_the_spaces_of_the_pool(pool):
    projector, history = fit(pool)
    assert projector.architecture == "8 to 6 dimensions, hidden 1024, f_l linear, f_m 2"
    assert not projector.training and next(projector.parameters()).device.type == "cpu"
    assert [record["epoch"] for record in history] == [0, 1, 2]


def test_settings_choose_the_architecture(pool):
    shape = {"hidden": 12, "depth_intra": 0, "depth_inter": 1}
    projector, _ = fit(pool, settings=SETTINGS | shape)
    assert projector.architecture == "8 to 6 dimensions, hidden 12, f_l 0, f_m 1"


def test_a_seed_determines_weights_and_losses(pool):
    (first, history), (again, its), (other, _) = fit(pool), fit(pool), fit(pool, seed=1)
    assert history == its
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.Head1.weight, other.Head1.weight)


def test_the_setting_chooses_the_loss_and_an_argument_takes_precedence(pool):
    default, cwcl = fit(pool)[1], fit(pool, settings=SETTINGS | {"loss": "cwcl"})[1]
    assert default == fit(pool, settings=SETTINGS | {"loss": "exmcr"})[1] != cwcl
    assert fit(pool, loss=losses.cwcl_loss)[1] == cwcl
    assert fit(pool, settings=SETTINGS | {"loss": "exmcr"}, loss=losses.cwcl_loss)[1][0] == cwcl[0]


def test_unknown_names_are_refused_before_training(pool):
    with pytest.raises(ConfigError, match="unknown loss 'infonse'; known: exmcr"):
        fit(pool, settings=SETTINGS | {"loss": "infonse"})
    with pytest.raises(ConfigError, match="depth of f_m"):
        fit(pool, settings=SETTINGS | {"depth_inter": 0})
