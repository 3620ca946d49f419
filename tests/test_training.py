"""Training on a world whose truth is known, and its repeatability: seeds, interruptions, checkpoints."""

import numpy as np
import pytest
import torch

from exmcr import pairs, pipeline, training
from exmcr.evaluation.retrieval import score
from exmcr.projectors import Projector

SETTINGS = {"steps": 50, "batch": 256, "lr": 1e-3, "weight_decay": 0.01, "noise": 0.0, "lambda": 0.1, "tau2": 0.05,
            "terms": ["x-o", "o-o", "x-y", "o-y"], "overlap_through_fl": False}  # fmt: skip


def world(seed=0, latent=8, d=32, n=1500, held=200):
    """Things with 8 latent properties, seen by two spaces: each turns them its own way, moves every modality off by a
    gap of its own and adds noise. The pools show different things, except for the overlap. Returns the pools, and
    `held` things that are in none of them: their leaf vectors, their base vectors."""
    rng = np.random.default_rng(seed)
    turn = {space: np.linalg.qr(rng.normal(size=(d, d)))[0] for space in ("leaf", "base")}

    def things(n):
        z = rng.normal(size=(n, latent))
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    def seen(z, space, modality):
        v = z @ turn[space][:latent] + 0.6 * turn[space][latent + modality] + 0.02 * rng.normal(size=(len(z), d))
        return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)

    o, test = things(n), things(held)
    pools = pairs.Pools(seen(things(n), "leaf", 0), seen(o, "leaf", 1), seen(o, "base", 0), seen(things(n), "base", 1))
    return pools, seen(test, "leaf", 0), seen(test, "base", 1)


@pytest.fixture(scope="module")
def known():
    pools, x, y = world()
    return pairs.union([pairs.quadruples(pools, centre, 0.01) for centre in ("overlap", "leaf", "base")]), x, y


def r1(projector, x, y):
    return score(pipeline.as_maps(projector).leaf(x) @ y.T, np.eye(len(x), dtype=bool))["r1"]


def test_the_projector_finds_the_partners_it_was_never_shown(known):
    pool, x, y = known
    torch.manual_seed(0)
    untrained = Projector(32, 32).eval()
    projector, history = pipeline.fit_projector(pool, SETTINGS, 0, progress=False)
    before, after = r1(untrained, x, y), r1(projector, x, y)
    print(f"R@1 among {len(y)}: {after:.3f}, untrained {before:.3f}, chance {1 / len(y):.3f}")
    assert before < 0.05
    assert after > 0.95
    assert not projector.training
    assert history[-1]["inter"] < history[0]["inter"] / 2 and history[-1]["intra"] < history[0]["intra"]


@pytest.fixture(scope="module")
def small():
    """A pool that trains in a blink: 5 steps per epoch."""
    pools, _, _ = world(seed=1, latent=3, d=8, n=40)
    return pairs.union([pairs.quadruples(pools, c, 0.05) for c in ("overlap", "leaf")])


QUICK = SETTINGS | {"steps": 23, "batch": 16, "noise": 0.004}


def fit(pool, seed, settings=QUICK, **options):
    """Weights (BatchNorm buffers included) and history of a run."""
    torch.manual_seed(seed)
    projector = Projector(8, 8, 16)
    history = training.train(projector, pool, settings, seed, progress=False, device=torch.device("cpu"), **options)
    return {k: v.clone() for k, v in projector.state_dict().items()}, history


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_a_seed_decides_everything(small):
    first, history = fit(small, 7)
    torch.rand(3)  # what others drew before does not matter
    again, its = fit(small, 7)
    assert same(first, again) and history == its
    assert not same(first, fit(small, 8)[0])


def test_steps_are_counted_exactly_and_an_epoch_is_reported_once(small):
    _, history = fit(small, 0)
    assert [r["epoch"] for r in history] == [0, 1, 2, 3, 4]
    assert [r["steps"] for r in history] == [5, 5, 5, 5, 3]
    _, history = fit(small, 0, QUICK | {"batch": 4096, "steps": 3})
    assert [r["steps"] for r in history] == [1, 1, 1], "a batch larger than the pool is the pool"


class Interrupted(Exception):
    pass


def interrupted_after(calls):
    done = 0

    def loss(projector, batch, settings):
        nonlocal done
        done += 1
        if done > calls:
            raise Interrupted
        return training.ex_mcr_loss(projector, batch, settings)

    loss.count = lambda: done
    return loss


def interrupt(pool, path, **more):
    with pytest.raises(Interrupted):
        fit(pool, 3, loss=interrupted_after(17), checkpoint=path, **more)
    assert path.is_file()


def test_an_interrupted_run_goes_on_to_the_same_bits(small, tmp_path):
    whole, history = fit(small, 3)
    interrupt(small, tmp_path / "c.ckpt")  # in the fourth epoch: three are stored
    rest = interrupted_after(10**6)
    torch.rand(5)
    resumed, its = fit(small, 3, loss=rest, checkpoint=tmp_path / "c.ckpt")
    assert rest.count() == 23 - 15
    assert same(whole, resumed) and history == its


@pytest.mark.parametrize("change", ["settings", "seed", "size", "data"])
def test_a_checkpoint_of_another_run_is_not_continued(small, tmp_path, change):
    interrupt(small, tmp_path / "c.ckpt")
    pool, seed, settings = small, 3, QUICK
    if change == "settings":
        settings = QUICK | {"tau2": 0.06}
    elif change == "seed":
        seed = 4
    elif change == "size":
        pool = {k: v[:-1] for k, v in small.items()}
    else:  # as many quadruples, made at another tau1
        pool = small | {"y_base": small["y_base"].flip(1)}
    fresh, _ = fit(pool, seed, settings)
    assert same(fresh, fit(pool, seed, settings, checkpoint=tmp_path / "c.ckpt")[0])


def test_a_finished_run_is_taken_from_its_checkpoint(small, tmp_path):
    whole, history = fit(small, 3, checkpoint=tmp_path / "c.ckpt")
    again, its = fit(small, 3, checkpoint=tmp_path / "c.ckpt", loss=interrupted_after(0))
    assert same(whole, again) and history == its


def test_a_loss_that_is_not_finite_stops_the_run_and_is_not_stored(small, tmp_path):
    def broken(projector, batch, settings):
        losses = training.ex_mcr_loss(projector, batch, settings)
        return losses | {"total": losses["total"] * float("nan")}

    with pytest.raises(FloatingPointError, match="epoch 0"):
        fit(small, 0, loss=broken, checkpoint=tmp_path / "c.ckpt")
    assert not (tmp_path / "c.ckpt").exists()


def test_noise_keeps_unit_norm_and_has_the_stated_variance():
    batch = {"x_leaf": torch.nn.functional.normalize(torch.randn(2000, 64), dim=1)}
    noisy = training.add_noise(batch, 0.004, torch.Generator().manual_seed(0))["x_leaf"]
    assert torch.allclose(noisy.norm(dim=1), torch.ones(2000), atol=1e-5)
    # |e + n| is about sqrt(1 + 64 s^2), so the cosine to e is one over that.
    assert float((noisy * batch["x_leaf"]).sum(1).mean()) == pytest.approx((1 + 64 * 0.004) ** -0.5, abs=0.01)
    assert training.add_noise(batch, 0, torch.Generator())["x_leaf"] is batch["x_leaf"]


@pytest.mark.parametrize("through", [False, True])
def test_the_loss_is_the_formula(small, through):
    torch.manual_seed(0)
    projector = Projector(8, 8, 16).double().eval()
    with torch.no_grad():
        projector.Head1.weight.add_(0.2 * torch.randn(8, 8))
    b = {k: v[:6].double() for k, v in small.items()}
    got = training.ex_mcr_loss(projector, b, QUICK | {"overlap_through_fl": through, "lambda": 0.3})
    x_l = b["x_leaf"] @ projector.Head1.weight.T + projector.Head1.bias
    o_l = b["o_leaf"] @ projector.Head1.weight.T + projector.Head1.bias if through else b["o_leaf"]
    x, o = (torch.nn.functional.normalize(projector.Head2(v), dim=1) for v in (x_l, o_l))
    inter = 0
    for a in (x, o):
        for c in (b["o_base"], b["y_base"]):
            logits = a @ c.T / 0.05
            inter -= (logits.log_softmax(1).diag().mean() + logits.log_softmax(0).diag().mean()) / 8
    intra = (x_l - b["o_leaf"]).square().sum(1).mean()
    assert torch.allclose(got["inter"], inter) and torch.allclose(got["intra"], intra)
    assert torch.allclose(got["total"], inter + 0.3 * intra)
