"""The feed and the graph of training on a GPU. Without one, only the order of the feed is tested."""

import contextlib
import threading
from types import SimpleNamespace

import eager
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from exmcr.kernels import gpu, tiles
from exmcr.kernels.aggregate import aggregate
from exmcr.kernels.gpu import Feed, Graph
from exmcr.kernels.search import topk
from exmcr.pairing.pools import PARTS
from exmcr.training import loop
from exmcr.training.losses import LOSSES
from exmcr.training.projectors import Projector

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
gpu_only = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
SETTINGS = {
    "steps": 12,
    "batch": 32,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "noise": 0.004,
    "lambda": 0.1,
    "tau2": 0.05,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
}


def units(n, seed, d=16):
    draws = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return normalize(draws + 0.3, dim=1)


def pool_of(n=100):
    return {part: units(n, k) for k, part in enumerate(PARTS)}


def batches_of(n, *sizes, device=CPU):
    order = torch.randperm(n, generator=torch.Generator().manual_seed(9))
    return order[: sum(sizes)].to(device).split(list(sizes))


def assert_fed(pool, batches, fed):
    assert len(fed) == len(batches)
    for rows, batch in zip(batches, fed, strict=True):
        assert list(batch) == list(pool)
        assert all(torch.equal(batch[k].cpu(), pool[k][rows.cpu()]) for k in pool)


# --- without a GPU ---


def test_on_a_cpu_the_feed_takes_the_rows_from_the_pool_itself():
    pool, batches = pool_of(), batches_of(100, 8, 8, 3)
    feed = Feed(pool, CPU)
    assert_fed(pool, batches, list(feed(batches)))
    assert all(feed.pool[k].data_ptr() == pool[k].data_ptr() for k in pool)


@pytest.fixture
def fake_cuda(monkeypatch):
    """Stands for the streams and the pinned memory of a GPU without free memory; every copy to the
    device is made at once."""
    stream = SimpleNamespace(synchronize=lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (0, 0))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device=None: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda side: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: stream)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    to, new_empty = torch.Tensor.to, torch.Tensor.new_empty
    monkeypatch.setattr(
        torch.Tensor,
        "to",
        lambda x, device, **options: x.clone() if device == CUDA else to(x, device),
    )
    monkeypatch.setattr(
        torch.Tensor, "new_empty", lambda x, *shape, pin_memory=False: new_empty(x, shape)
    )


@pytest.mark.parametrize("sizes", [(8,), (8, 8), (8, 8, 3), (3, 8, 8, 8, 1), ()])
def test_a_pool_too_large_for_the_device_is_fed_in_order(fake_cuda, sizes):
    pool, batches = pool_of(), batches_of(100, *sizes) if sizes else ()
    feed = Feed(pool, CUDA)
    assert feed.side is not None
    assert_fed(pool, batches, list(feed(batches)))


def test_the_pinned_memory_is_that_of_the_largest_batch(fake_cuda):
    feed = Feed(pool_of(), CUDA)
    list(feed(batches_of(100, 8, 8)))
    pages = {k: page.data_ptr() for k, page in feed.pinned.items()}
    list(feed(batches_of(100, 8, 3)))
    assert {k: page.data_ptr() for k, page in feed.pinned.items()} == pages
    list(feed(batches_of(100, 9)))
    assert all(len(page) == 9 for page in feed.pinned.values())


def test_a_feed_that_is_left_early_ends_its_thread(fake_cuda):
    before = threading.active_count()
    batches = Feed(pool_of(), CUDA)(batches_of(100, 8, 8, 8, 8))
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_an_error_while_reading_reaches_the_loop(fake_cuda):
    feed = Feed(pool_of(), CUDA)
    with pytest.raises(IndexError):
        list(feed([torch.tensor([0, 1]), torch.tensor([0, 1000])]))


def test_a_checkpoint_belongs_to_a_type_of_device():
    cpu, cuda = (loop._key(SETTINGS, 7, pool_of(), device) for device in (CPU, CUDA))
    assert cpu != cuda and cpu == loop._key(SETTINGS, 7, pool_of(), CPU)


# --- on a GPU ---


@gpu_only
@pytest.mark.parametrize("kind", ["fits", "does not fit", "is there already"])
def test_a_pool_is_fed_to_a_gpu(kind, monkeypatch):
    if kind != "fits":
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (0, 0))
    pool, batches = pool_of(), batches_of(100, 8, 8, 3, device=CUDA)
    source = {k: v.to(CUDA) for k, v in pool.items()} if kind == "is there already" else pool
    feed = Feed(source, CUDA)
    assert (feed.side is None) == (kind != "does not fit")
    fed = list(feed(batches))
    assert all(part.device.type == "cuda" for batch in fed for part in batch.values())
    assert_fed(pool, batches, fed)


def trained(settings=SETTINGS, pool=None, **options):
    torch.manual_seed(0)
    projector = Projector(16, 16, 32)
    pool = pool or pool_of()
    history = loop.train(
        projector, pool, settings, 7, progress=False, **({"device": CUDA} | options)
    )
    return [record["total"] for record in history], projector.state_dict()


def assert_same_run(one, other, bound=1e-3):
    assert np.allclose(one[0], other[0], rtol=0, atol=bound)


@gpu_only
def test_the_graph_draws_the_noise_and_takes_the_steps_of_the_loop_without_it(monkeypatch):
    captured = trained()
    monkeypatch.setattr(loop, "Graph", lambda step, generator: step)
    assert_same_run(captured, trained())


@gpu_only
def test_the_feed_from_the_host_gives_the_same_run_while_the_graph_is_captured(monkeypatch):
    resident = trained()
    monkeypatch.setattr(gpu, "SPARE", 2**60)
    assert_same_run(resident, trained())


@gpu_only
def test_a_gpu_takes_the_steps_of_the_eager_loop_on_it(monkeypatch):
    in_float32 = tiles.matmul_precision
    monkeypatch.setattr(loop, "matmul_precision", lambda _: in_float32("float32"))
    pool = {k: v.to(CUDA) for k, v in pool_of().items()}
    totals, _ = trained(pool=pool)
    torch.manual_seed(0)
    expected = eager.train(Projector(16, 16, 32), pool, SETTINGS, 7)
    means = [np.mean(expected[i : i + 3]) for i in range(0, 12, 3)]
    assert np.allclose(totals, means, rtol=0, atol=1e-3)


@gpu_only
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_can_be_captured_and_equals_that_on_a_cpu(name, monkeypatch):
    # Two losses depend on the order of rows, and generators differ between devices.
    monkeypatch.setattr(torch, "randperm", lambda n, device, **_: torch.arange(n, device=device))
    settings = SETTINGS | {"noise": 0.0, "batch": 4096, "steps": 8}
    pool = {k: v.double() for k, v in pool_of().items()}
    totals = []
    for device in (CPU, CUDA):
        torch.manual_seed(0)
        history = loop.train(
            Projector(16, 16, 32).double(),
            pool,
            settings,
            7,
            loss=LOSSES[name].function,
            progress=False,
            device=device,
        )
        totals.append([record["total"] for record in history])
    assert np.allclose(*totals, rtol=0, atol=1e-6)


@gpu_only
def test_a_checkpoint_of_a_cpu_is_not_continued_on_a_gpu(tmp_path):
    path = tmp_path / "c.ckpt"
    trained(device=CPU, checkpoint=path)
    assert_same_run(trained(checkpoint=path), trained())


@gpu_only
def test_a_step_at_full_size_is_captured_while_the_reader_allocates(monkeypatch):
    monkeypatch.setattr(gpu, "SPARE", 2**60)
    pool = {part: units(20_000, k, 512) for k, part in enumerate(PARTS)}
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        settings = SETTINGS | {"batch": 4096, "steps": 6}
        history = loop.train(Projector(), pool, settings, 7, progress=False, device=CUDA)
        runs.append([record["total"] for record in history])
    assert np.allclose(*runs, rtol=1e-3)


@gpu_only
def test_the_graph_replays_on_each_batch():
    total = torch.zeros(2, device=CUDA)
    graph = Graph(lambda batch: total.add_(batch["a"].sum(0)), torch.Generator(CUDA))
    for k in range(7):
        graph({"a": torch.full((3, 2), float(k), device=CUDA)})
    assert total.tolist() == [63.0, 63.0]


@gpu_only
@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("on_device", [True, False])
def test_aggregation_and_search_take_banks_from_either_memory(resident, on_device, monkeypatch):
    monkeypatch.setattr(tiles, "BLOCK", 300)
    if not resident:
        monkeypatch.setattr(tiles, "_fits", lambda banks, device: False)
    queries, keys = units(75, 1, 48), units(1003, 2, 48)
    here = aggregate(queries, keys, keys, 0.05, tile=(33, 100), device=CPU)
    best = topk(queries, keys, 7, device=CPU)
    place = (lambda x: x.to(CUDA)) if on_device else (lambda x: x)
    queries, keys = place(queries), place(keys)
    there = aggregate(queries, keys, keys, 0.05, tile=(33, 100), device=CUDA)
    assert (here.values[0] - there.values[0]).abs().max() < 1e-5
    found = topk(queries, keys, 7, tile=(33, 100), device=CUDA)
    assert (best.scores - found.scores).abs().max() < 1e-5
    assert torch.equal(best.indices, found.indices)


@gpu_only
def test_a_bank_that_is_still_computed_on_the_device_is_waited_for():
    queries, bank = units(40, 1, 512), units(20_000, 2, 512)
    expected = aggregate(queries, bank, bank, 0.05, device=CPU).values[0]
    device = bank.to(CUDA)
    big = torch.randn(8192, 8192, device=CUDA)
    unfinished = torch.zeros_like(device)
    for _ in range(20):
        big = normalize(big @ big, dim=1)  # keeps the stream busy
    unfinished.copy_(device)
    result = aggregate(queries, unfinished, unfinished, 0.05, device=CUDA).values[0]
    assert (expected - result).abs().max() < 1e-4
