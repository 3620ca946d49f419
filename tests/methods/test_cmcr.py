"""C-MCR and Ex-MCR as methods, on spaces whose relation is known; the loss of C-MCR against its definition."""

import math
from pathlib import Path

import numpy as np
import pytest
import synthetic
import torch
from torch.nn.functional import normalize

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.evaluation.metrics import summary
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.methods import cmcr, exmcr
from exmcr.methods.exmcr import exmcr_settings
from exmcr.methods.maps import identity
from exmcr.training.cmcr_heads import CMCR

TRAIN = {
    "steps": 60,
    "batch": 256,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "noise": 0.0,
    "lambda": 0.1,
    "tau2": 0.05,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
}
PAIR = {"centers": ["overlap", "leaf", "base"], "tau1": 0.01}
QUICK = {"tau1": 0.01, "tau2": 0.05, "steps": 60, "batch": 256}


def r1(queries, gallery):
    positive = np.eye(len(queries), dtype=bool)
    return summary(ranks_of_positives(queries @ gallery.T, positive), positive)["r1"]


@pytest.fixture(scope="module")
def world():
    """Held-out items in all views after the pools: x and o of the leaf, o and y of the base."""
    made = synthetic.world(1500, gap=0.6, held=200)
    return made.pools, made.x, made.o_leaf, made.o_base, made.y


@pytest.fixture(scope="module")
def connected(world):
    return cmcr.fit(world[0], 0, settings=QUICK)


def test_exmcr_aligns_from_unpaired_banks_alone(world):
    pools, x, _, _, y = world
    maps = exmcr.fit(pools, 0, pair=PAIR, train=TRAIN)
    assert maps.base is identity, "the base is unchanged"
    assert r1(x, y) < 0.1, "without a map the two spaces are unrelated"
    assert r1(maps.leaf(x), maps.base(y)) > 0.95


def test_cmcr_connects_in_a_third_space(world, connected):
    _, x, o_leaf, o_base, y = world
    assert r1(connected.leaf(x), connected.base(y)) > 0.9
    assert r1(connected.leaf(o_leaf), connected.base(o_base)) > 0.9
    assert np.allclose(np.linalg.norm(connected.base(y), axis=1), 1, atol=1e-5)


def test_cmcr_closes_the_gap_inside_each_space_and_attraction_closes_it_further(world, connected):
    pools, x, o_leaf, o_base, y = world

    def gap(a, b):
        return np.linalg.norm(a.mean(axis=0) - b.mean(axis=0))

    assert gap(connected.leaf(x), connected.leaf(o_leaf)) < gap(x, o_leaf) / 3
    assert gap(connected.base(y), connected.base(o_base)) < gap(y, o_base) / 3
    strong = cmcr.fit(pools, 0, settings=QUICK | {"lambda": 3.0})
    assert gap(strong.base(y), strong.base(o_base)) < 0.8 * gap(
        connected.base(y), connected.base(o_base)
    )


def test_the_small_form_connects_too_and_is_never_negative(world):
    pools, x, _, _, y = world
    maps = cmcr.fit(
        pools, 0, form="ulip-clip", settings=QUICK | {"steps": 150, "lr": 3e-3}
    )  # a single layer needs more steps
    assert r1(maps.leaf(x), maps.base(y)) > 0.9
    assert maps.leaf(x).min() >= 0 and maps.base(y).min() >= 0


def test_the_result_depends_on_the_seed_only(world):
    few = QUICK | {"steps": 3}
    pools, x = world[:2]
    first, again, other = (cmcr.fit(pools, seed, settings=few).leaf(x[:5]) for seed in (0, 0, 1))
    assert (first == again).all() and not np.allclose(first, other)


@torch.no_grad()
def test_the_loss_equals_its_definition():
    torch.manual_seed(0)
    model = (
        CMCR(6, 5, 4, 7).double().eval()
    )  # eval: BatchNorm is a fixed map, so that rows can be taken one by one
    sizes = {"x_leaf": 6, "o_leaf": 6, "o_base": 5, "y_base": 5}
    batch = {
        name: normalize(torch.randn(3, d, dtype=torch.float64), dim=1) for name, d in sizes.items()
    }
    x, ol = model.leaf(batch["x_leaf"]), model.leaf(batch["o_leaf"])
    y, ob = model.base(batch["y_base"]), model.base(batch["o_base"])

    def infonce(a, b, tau):
        total = 0.0
        for i in range(3):
            for one, many in ((a[i], b), (b[i], a)):
                total -= float(one @ many[i]) / tau - math.log(
                    sum(math.exp(float(one @ row) / tau) for row in many)
                )
        return total / 6

    intra = (
        sum(
            float((a - b).detach().square().sum())
            for first, second in ((x, ol), (y, ob))
            for a, b in zip(first, second)
        )
        / 6
    )
    found = cmcr.cmcr_loss(model, batch, {"tau2": 0.2, "lambda": 0.3})
    assert float(found["inter"]) == pytest.approx(infonce(ol, ob, 0.2) + infonce(x, y, 0.2))
    assert float(found["intra"]) == pytest.approx(intra)
    assert float(found["total"]) == pytest.approx(float(found["inter"] + 0.3 * found["intra"]))


def test_every_part_of_both_heads_is_trained():
    torch.manual_seed(0)
    for small in (False, True):
        model = CMCR(8, 8, 8, 16, small=small)
        cmcr.cmcr_loss(
            model,
            {k: torch.randn(12, 8) for k in ("x_leaf", "o_leaf", "o_base", "y_base")},
            cmcr.MINI,
        )["total"].backward()
        for (
            name,
            p,
        ) in (
            model.named_parameters()
        ):  # all but the biases that batch normalization subtracts again
            assert (
                p.grad is not None and p.grad.isfinite().all()
                if p.requires_grad
                else name.endswith("0.bias")
            ), name
        assert all(
            head.grad.abs().sum() > 0
            for head in (next(model.leaf.parameters()), next(model.base.parameters()))
        )


def test_wrong_forms_and_settings_are_refused(world):
    with pytest.raises(ConfigError, match="clap-clip"):
        cmcr.fit(world[0], form="clip-clap")
    with pytest.raises(ConfigError, match="temperature"):
        cmcr.fit(world[0], settings={"temperature": 1})


def test_exmcr_takes_the_settings_of_each_leaf_from_params(world):
    pools, x = world[:2]
    own = {"steps": 2, "leaves": {"audio": {"lr": 0.01}}}
    content = config.read(project_root(Path(__file__).parent) / "params.yaml")
    params = config.check(content | {"pair": PAIR, "train": TRAIN | own})

    def fitted(leaf):
        return exmcr.fit(pools, 0, **exmcr_settings(params, leaf)).leaf(x[:5])

    assert (
        fitted("audio")
        == exmcr.fit(pools, 0, pair=PAIR, train=TRAIN | {"steps": 2, "lr": 0.01}).leaf(x[:5])
    ).all()
    assert not np.allclose(fitted("audio"), fitted("points"))
