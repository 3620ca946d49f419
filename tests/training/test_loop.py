"""Training on a world with known answers, and its repeatability: seeds, interruptions, checkpoints, ranks."""

import eager
import forked
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.kernels.layers import TrainingLayers
from exmcr.pairing import pairs
from exmcr.pairing.pools import PARTS, Pools
from exmcr.training import loop
from exmcr.training.fit import fit_projector
from exmcr.training.objectives import exmcr_loss
from exmcr.training.projectors import Projector

CPU = torch.device("cpu")

SETTINGS = {
    "steps": 50,
    "batch": 256,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "noise": 0.0,
    "lambda": 0.1,
    "tau2": 0.05,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
}


def world(seed=0, latent=8, d=32, n=1500, held=200):
    """Things with `latent` properties in two spaces. Each space rotates them, shifts every modality by its own gap and
    adds noise. The pools hold different things, except for the overlap. Returns the pools, and the leaf and base
    vectors of `held` things that are in none of them."""
    rng = np.random.default_rng(seed)
    turn = {space: np.linalg.qr(rng.normal(size=(d, d)))[0] for space in ("leaf", "base")}

    def things(n):
        z = rng.normal(size=(n, latent))
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    def seen(z, space, modality):
        v = (
            z @ turn[space][:latent]
            + 0.6 * turn[space][latent + modality]
            + 0.02 * rng.normal(size=(len(z), d))
        )
        return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)

    o, test = things(n), things(held)
    pools = Pools(
        seen(things(n), "leaf", 0),
        seen(o, "leaf", 1),
        seen(o, "base", 0),
        seen(things(n), "base", 1),
    )
    return pools, seen(test, "leaf", 0), seen(test, "base", 1)


@pytest.fixture(scope="module")
def known():
    pools, x, y = world()
    return (
        pairs.union(
            [pairs.quadruples(pools, center, 0.01) for center in ("overlap", "leaf", "base")]
        ),
        x,
        y,
    )


def r1(projector, x, y):
    with torch.no_grad():
        similarity = projector(torch.from_numpy(x)).numpy() @ y.T
    return float((similarity.argmax(axis=1) == np.arange(len(x))).mean())


def test_the_projector_finds_pairs_that_it_was_not_trained_on(known):
    pool, x, y = known
    torch.manual_seed(0)
    untrained = Projector(32, 32).eval()
    projector, history = fit_projector(pool, SETTINGS, 0, progress=False)
    before, after = r1(untrained, x, y), r1(projector, x, y)
    print(f"R@1 among {len(y)}: {after:.3f}, untrained {before:.3f}, chance {1 / len(y):.3f}")
    assert before < 0.05
    assert after > 0.95
    assert not projector.training
    assert (
        history[-1]["inter"] < history[0]["inter"] / 2
        and history[-1]["intra"] < history[0]["intra"]
    )


@pytest.fixture(scope="module")
def small():
    """A pool that trains in milliseconds: 5 steps per epoch."""
    pools, _, _ = world(seed=1, latent=3, d=8, n=40)
    return pairs.union([pairs.quadruples(pools, c, 0.05) for c in ("overlap", "leaf")])


QUICK = SETTINGS | {"steps": 23, "batch": 16, "noise": 0.004}


def fit(pool, seed, settings=QUICK, **options):
    """Weights (BatchNorm buffers included) and history of a run."""
    torch.manual_seed(seed)
    projector = Projector(8, 8, 16)
    history = loop.train(projector, pool, settings, seed, progress=False, device=CPU, **options)
    return {k: v.clone() for k, v in projector.state_dict().items()}, history


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_a_seed_decides_everything(small):
    first, history = fit(small, 7)
    torch.rand(3)  # draws elsewhere do not matter
    again, its = fit(small, 7)
    assert same(first, again) and history == its
    assert not same(first, fit(small, 8)[0])


def test_the_model_is_in_training_mode_during_the_run_only(small):
    modes = []

    def watched(projector, batch, settings):
        modes.append(projector.training)
        return exmcr_loss(projector, batch, settings)

    projector = Projector(8, 8, 16).eval()
    loop.train(projector, small, QUICK | {"steps": 2}, 0, loss=watched, progress=False, device=CPU)
    assert modes == [True, True] and not projector.training


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
        return exmcr_loss(projector, batch, settings)

    loss.count = lambda: done
    return loss


def interrupt(pool, path, **more):
    with pytest.raises(Interrupted):
        fit(pool, 3, loss=interrupted_after(17), checkpoint=path, **more)
    assert path.is_file()


def test_an_interrupted_run_continues_to_the_same_bits(small, tmp_path):
    whole, history = fit(small, 3)
    interrupt(small, tmp_path / "c.ckpt")  # in the fourth epoch: three are stored
    rest = interrupted_after(10**6)
    torch.rand(5)
    resumed, its = fit(small, 3, loss=rest, checkpoint=tmp_path / "c.ckpt")
    assert rest.count() == 23 - 15
    assert same(whole, resumed) and history == its


@pytest.mark.parametrize("change", ["settings", "seed", "size", "data", "code"])
def test_a_checkpoint_of_another_run_is_not_continued(small, tmp_path, change, monkeypatch):
    interrupt(small, tmp_path / "c.ckpt")
    pool, seed, settings = small, 3, QUICK
    if change == "settings":
        settings = QUICK | {"tau2": 0.06}
    elif change == "seed":
        seed = 4
    elif change == "size":
        pool = {k: v[:-1] for k, v in small.items()}
    elif change == "code":
        monkeypatch.setattr(loop, "CODE", "edited")
    else:  # as many quadruples, made with another tau1
        pool = small | {"y_base": small["y_base"].flip(1)}
    fresh, _ = fit(pool, seed, settings)
    every = interrupted_after(10**6)
    again, _ = fit(pool, seed, settings, checkpoint=tmp_path / "c.ckpt", loss=every)
    assert same(fresh, again) and every.count() == 23


def test_a_finished_run_is_restored_from_its_checkpoint(small, tmp_path):
    whole, history = fit(small, 3, checkpoint=tmp_path / "c.ckpt")
    again, its = fit(small, 3, checkpoint=tmp_path / "c.ckpt", loss=interrupted_after(0))
    assert same(whole, again) and history == its


@pytest.mark.parametrize(
    "every, interrupted, stored",
    [(1, 17, [5, 10, 15]), (6, 17, [10]), (25, 22, []), (6, None, [10, 20, 23]), (25, None, [23])],
)
def test_checkpoints_are_a_number_of_steps_apart_and_one_is_written_at_the_end(
    small, tmp_path, monkeypatch, every, interrupted, stored
):
    """An epoch has five steps. An epoch of a small pool has one, which takes less time than the
    checkpoint."""
    taken, store = [], loop._store

    def counted(*arguments):
        taken.append(sum(record["steps"] for record in arguments[-1]))
        store(*arguments)

    monkeypatch.setattr(loop, "_store", counted)
    monkeypatch.setattr(loop, "EVERY", every)
    path = tmp_path / "c.ckpt"
    if interrupted:
        with pytest.raises(Interrupted):
            fit(small, 3, loss=interrupted_after(interrupted), checkpoint=path)
        assert taken == stored
        taken.clear()
        fit(small, 3, checkpoint=path)
        assert taken[-1] == 23
    else:
        fit(small, 3, checkpoint=path)
        assert taken == stored
    again, history = fit(small, 3, checkpoint=path, loss=interrupted_after(0))
    whole, its = fit(small, 3)
    assert same(whole, again) and history == its


def test_a_loss_that_is_not_finite_stops_the_run_and_is_not_stored(small, tmp_path):
    def broken(projector, batch, settings):
        losses = exmcr_loss(projector, batch, settings)
        return losses | {"total": losses["total"] * float("nan")}

    with pytest.raises(FloatingPointError, match="epoch 0"):
        fit(small, 0, loss=broken, checkpoint=tmp_path / "c.ckpt")
    assert not (tmp_path / "c.ckpt").exists()


@pytest.mark.parametrize("through", [False, True])
def test_the_loss_is_the_formula(small, through):
    torch.manual_seed(0)
    projector = Projector(8, 8, 16).double().eval()
    with torch.no_grad():
        projector.Head1.weight.add_(0.2 * torch.randn(8, 8))
    b = {k: v[:6].double() for k, v in small.items()}
    result = exmcr_loss(projector, b, QUICK | {"overlap_through_fl": through, "lambda": 0.3})
    x_l = b["x_leaf"] @ projector.Head1.weight.T + projector.Head1.bias
    o_l = b["o_leaf"] @ projector.Head1.weight.T + projector.Head1.bias if through else b["o_leaf"]
    x, o = (torch.nn.functional.normalize(projector.Head2(v), dim=1) for v in (x_l, o_l))
    inter = 0
    for a in (x, o):
        for c in (b["o_base"], b["y_base"]):
            logits = a @ c.T / 0.05
            inter -= (logits.log_softmax(1).diag().mean() + logits.log_softmax(0).diag().mean()) / 8
    intra = (x_l - b["o_leaf"]).square().sum(1).mean()
    assert torch.allclose(result["inter"], inter) and torch.allclose(result["intra"], intra)
    assert torch.allclose(result["total"], inter + 0.3 * intra)


@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_training_equals_the_eager_loop(small, noise):
    """In float64, where rounding does not add up over the steps."""
    pool, settings = {k: v.double() for k, v in small.items()}, QUICK | {"noise": noise}
    nets = []
    for _ in range(2):
        torch.manual_seed(0)
        nets.append(Projector(8, 8, 16).double())
    history = loop.train(nets[0], pool, settings, 5, progress=False, device=CPU)
    totals = eager.train(nets[1], pool, settings, 5)
    means = [np.mean(totals[i : i + 5]) for i in range(0, 23, 5)]
    assert np.allclose([r["total"] for r in history], means, atol=1e-9)
    for key, value in nets[1].state_dict().items():
        assert torch.allclose(value.double(), nets[0].state_dict()[key].double(), atol=1e-6), key


def test_in_float32_the_losses_are_those_of_the_eager_loop_with_noise_too(small):
    nets = []
    for _ in range(2):
        torch.manual_seed(0)
        nets.append(Projector(8, 8, 16))
    history = loop.train(nets[0], small, QUICK | {"steps": 10}, 5, progress=False, device=CPU)
    totals = eager.train(nets[1], small, QUICK | {"steps": 10}, 5)
    means = [np.mean(totals[i : i + 5]) for i in range(0, 10, 5)]
    assert np.allclose([r["total"] for r in history], means, atol=1e-5)


def test_the_loss_and_its_gradient_in_float32_equal_those_of_the_eager_loop():
    torch.manual_seed(0)
    batch = {k: normalize(torch.randn(96, 64), dim=1) for k in PARTS}
    projector = Projector(64, 64, 128).train().requires_grad_(True)
    results = []
    for loss, layers in (
        (eager.loss, torch.enable_grad()),
        (exmcr_loss, TrainingLayers()),
    ):
        projector.zero_grad()
        with layers:
            losses = loss(projector, batch, SETTINGS)
            losses["total"].backward()
        results.append((losses, {k: p.grad for k, p in projector.named_parameters()}))
    (one, of_one), (other, of_other) = results
    for key in one:
        assert float(one[key].detach()) == pytest.approx(float(other[key].detach()), abs=1e-5)
    for key in of_one:
        assert (of_one[key] - of_other[key]).abs().max() < 1e-5, key


def shared_pool(dtype):
    generator = torch.Generator().manual_seed(3)
    return {
        k: normalize(torch.randn(60, 8, generator=generator, dtype=torch.float64), dim=1).to(dtype)
        for k in PARTS
    }


def shared_run(dtype, group, checkpoint=None, loss=exmcr_loss, tau2=QUICK["tau2"]):
    """The run that one process and each of two make. The second of the two starts from other weights, which must not matter."""
    torch.manual_seed(0 if group is None else torch.distributed.get_rank(group))
    projector = Projector(8, 8, 16).to(dtype)
    settings = QUICK | {"batch": 20, "steps": 7, "tau2": tau2}
    history = loop.train(
        projector,
        shared_pool(dtype),
        settings,
        1,
        progress=False,
        device=CPU,
        group=group,
        checkpoint=checkpoint,
        loss=loss,
    )
    return history, projector.state_dict()


def one_of_two(folder):
    """As one rank: train, then train again with an interruption; store the results."""
    with distributed.torchrun() as group:
        rank = distributed.rank(group)
        for dtype in (torch.float32, torch.float64):
            torch.save(shared_run(dtype, group), folder / f"{dtype}-{rank}.pt")
        torch.save(shared_run(torch.float64, group, tau2=0.01), folder / f"cold-{rank}.pt")
        try:
            shared_run(torch.float64, group, folder / "c.ckpt", interrupted_after(4))
        except Interrupted:
            pass
        distributed.barrier(group)
        torch.save(
            shared_run(torch.float64, group, folder / "c.ckpt"), folder / f"resumed-{rank}.pt"
        )
        try:
            loop.train(
                Projector(8, 8, 16),
                shared_pool(torch.float32),
                QUICK | {"batch": 21},
                0,
                progress=False,
                group=group,
            )
        except ConfigError as error:
            (folder / f"uneven-{rank}").write_text(str(error))


def test_two_processes_train_as_one(tmp_path):
    assert forked.ranks(lambda: one_of_two(tmp_path)) == [0, 0]
    for dtype in (torch.float32, torch.float64):
        history, state = shared_run(dtype, None)
        for rank in (0, 1):
            its, weights = torch.load(tmp_path / f"{dtype}-{rank}.pt")
            for name in ("intra", "inter", "total"):
                assert np.allclose(
                    [r[name] for r in history],
                    [r[name] for r in its],
                    rtol=0,
                    atol=1e-5 if dtype == torch.float32 else 1e-10,
                )
            if dtype == torch.float64:
                assert all(torch.allclose(state[k], weights[k], atol=1e-7) for k in state), (
                    "weights and running statistics"
                )
                assert same(weights, torch.load(tmp_path / f"resumed-{rank}.pt")[1]), (
                    "an interrupted run continues to the same bits"
                )
    history, state = shared_run(torch.float64, None, tau2=0.01)
    for rank in (0, 1):
        its, weights = torch.load(tmp_path / f"cold-{rank}.pt")
        assert np.allclose(
            [r["total"] for r in history], [r["total"] for r in its], rtol=0, atol=1e-10
        )
        assert all(torch.allclose(state[k], weights[k], atol=1e-7) for k in state), (
            "at a temperature at which the largest logits are subtracted"
        )
    assert "21" in (tmp_path / "uneven-1").read_text() and (tmp_path / "uneven-0").exists()


gpu_only = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@gpu_only
@pytest.mark.parametrize("fits", [True, False])
def test_a_gpu_trains_as_a_cpu(small, fits, monkeypatch):
    """Generators differ by device: without noise, and with the whole pool as one batch, their draws do not matter."""
    if not fits:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (0, 0))
    settings = QUICK | {"noise": 0.0, "batch": 4096, "steps": 12}
    pool, histories = {k: v.double() for k, v in small.items()}, []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        histories.append(
            loop.train(
                Projector(8, 8, 16).double(),
                pool,
                settings,
                0,
                progress=False,
                device=torch.device(device),
            )
        )
    assert np.allclose(
        [r["total"] for r in histories[0]], [r["total"] for r in histories[1]], atol=1e-6
    )


@gpu_only
def test_an_interrupted_run_on_a_gpu_continues_where_it_stopped(small, tmp_path, monkeypatch):
    def run(path, steps=23, loss=exmcr_loss):
        torch.manual_seed(0)
        projector = Projector(8, 8, 16)
        history = loop.train(
            projector,
            small,
            QUICK | {"steps": steps},
            3,
            progress=False,
            device=torch.device("cuda"),
            checkpoint=path,
            loss=loss,
        )
        return history, projector.state_dict()

    history, whole = run(tmp_path / "whole.ckpt")
    stored, real = [], loop._store

    def store(*arguments):
        real(*arguments)
        stored.append(1)
        if len(stored) == 3:
            raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_store", store)
        with pytest.raises(Interrupted):
            run(tmp_path / "c.ckpt")
    its, resumed = run(tmp_path / "c.ckpt")
    assert np.allclose([r["total"] for r in history], [r["total"] for r in its], atol=1e-5)
    assert all(torch.allclose(whole[k], resumed[k], atol=1e-4) for k in whole)
