"""Softmax aggregation in tiles against the full matrix in float64: numbers, memory, threads, ranks, errors."""

import gc
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from exmcr.common.errors import ConfigError
from exmcr.kernels import aggregate as module
from exmcr.kernels import layers, tiles
from exmcr.kernels.search import topk

ROOT = Path(__file__).parents[2]

aggregate = partial(module.aggregate, neighbors=True)


def unit(n, d=48, seed=0):
    """Unit rows with a decaying spectrum and a common direction, like real embeddings."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 + 0.3
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def reference(queries, keys, values, tau):
    """The full matrix, in float64, straight from the definition."""
    logits = queries.astype(np.float64) @ keys.astype(np.float64).T / tau
    top = logits.max(axis=1, keepdims=True)
    weights = np.exp(logits - top)
    total = weights.sum(axis=1, keepdims=True)
    weights /= total
    mean = weights @ values.astype(np.float64)
    return (
        mean / np.linalg.norm(mean, axis=1, keepdims=True),
        1 / (weights**2).sum(1),
        (top + np.log(total))[:, 0],
    )


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks even for test-sized banks, the last one uneven."""
    monkeypatch.setattr(tiles, "BLOCK", 300)
    monkeypatch.setattr(tiles, "QUERY_TILES", 2)
    monkeypatch.setattr(tiles, "FEWEST", 20_000)


@pytest.fixture(params=["oneDNN", "torch"])
def kernel(request, monkeypatch):
    """Weights computed inside oneDNN's product, and by torch after it (as on a GPU)."""
    if request.param == "torch":
        monkeypatch.setattr(layers, "_onednn", None)


@pytest.fixture
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("tau", [1.0, 0.05, 0.01, 0.007, 0.001])
@pytest.mark.parametrize("tile", [None, (37, 101), (1, 1000)])
def test_values_equal_those_of_the_full_matrix_in_float64(tau, tile):
    queries, keys, values = unit(150, seed=1), unit(1003, seed=2), unit(1003, d=20, seed=3)
    result = aggregate(queries, keys, values, tau, tile=tile, device="cpu")
    mean, neighbors, log_mass = reference(queries, keys, values, tau)
    # A float32 score is off by about 1e-7, its weight by 1e-7 / tau.
    assert np.abs(result.values[0] - mean).max() < 1e-6 + 3e-7 / tau
    assert np.allclose(result.neighbors, neighbors, rtol=1e-5 + 6e-7 / tau)
    assert np.abs(result.log_mass - log_mass).max() < 1e-6 + 1e-6 / tau
    assert result.values[0].dtype == result.neighbors.dtype == np.float32
    assert np.allclose(np.linalg.norm(result.values[0], axis=1), 1, atol=1e-6)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("n, m", [(1, 1), (1, 700), (50, 1), (2, 301), (0, 5)])
def test_few_rows_give_the_same_values(n, m):
    queries, keys = unit(n, seed=1), unit(m, seed=2)
    result = aggregate(queries, keys, keys, 0.01, tile=(16, 128), device="cpu")
    assert result.values[0].shape == (n, 48)
    if n:
        assert np.abs(result.values[0] - reference(queries, keys, keys, 0.01)[0]).max() < 3e-5


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("tau", [0.01, 0.007, 0.0005])
def test_the_shift_moves_when_the_best_key_comes_last(tau):
    """Every earlier key points away from the query, the last one is the query."""
    queries = unit(5, seed=1)
    keys = np.concatenate([-queries.repeat(200, axis=0), queries])
    result = aggregate(queries, keys, keys, tau, tile=(5, 64), device="cpu")
    assert np.allclose(result.log_mass, reference(queries, keys, keys, tau)[2], rtol=1e-6)
    assert np.abs(result.values[0] - reference(queries, keys, keys, tau)[0]).max() < 1e-5


@pytest.mark.usefixtures("kernel")
def test_no_near_key_does_not_underflow():
    queries = unit(4, seed=1)
    keys = -queries.repeat(50, axis=0)
    result = aggregate(queries[:1], keys[:50], keys[:50], 0.001, device="cpu")
    assert np.abs(result.values[0] + queries[:1]).max() < 1e-6
    assert np.isclose(result.neighbors[0], 50, rtol=1e-4) and np.isclose(
        result.log_mass[0], -1000 + np.log(50), atol=1e-2
    )


@pytest.mark.usefixtures("kernel")
def test_long_rows_do_not_overflow():
    queries, keys = 30 * unit(20, seed=1), 40 * unit(500, seed=2)
    result = aggregate(queries, keys, keys, 1.0, tile=(8, 64), device="cpu")
    mean, neighbors, _ = reference(queries, keys, keys, 1.0)
    assert np.abs(result.values[0] - mean).max() < 1e-3 and np.allclose(
        result.neighbors, neighbors, rtol=1e-2
    )


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("length, tau", [(1e25, 0.01), (1, 1e-10), (1, 1e-38)])
def test_scores_beyond_float32_are_an_error(length, tau, normalize):
    rows = length * unit(10, d=512, seed=1)
    with pytest.raises(ConfigError, match="unit norm"):
        aggregate(rows, rows, rows, tau, normalize=normalize, device="cpu")


@pytest.mark.usefixtures("kernel")
def test_the_shift_moves_repeatedly_when_scores_rise_from_tile_to_tile():
    """Scores rise by 0.25 per tile: 25 nats, more than the headroom of a shift, so that it moves repeatedly."""
    queries = unit(6, seed=1)
    keys = np.concatenate(
        [height * queries for height in np.arange(-1, 1.01, 0.25, dtype=np.float32)]
    )
    result = aggregate(queries, keys, keys, 0.01, tile=(4, 6), device="cpu")
    mean, neighbors, log_mass = reference(queries, keys, keys, 0.01)
    assert np.abs(result.values[0] - mean).max() < 3e-5 and np.allclose(
        result.neighbors, neighbors, rtol=1e-4
    )
    assert np.abs(result.log_mass - log_mass).max() < 1e-4


@pytest.mark.usefixtures("kernel")
def test_neighbors_are_counted_only_on_request():
    queries, keys = unit(60, seed=1), unit(900, seed=2)
    counted, plain = (
        aggregate(queries, keys, keys, 0.01, device="cpu"),
        module.aggregate(queries, keys, keys, 0.01, device="cpu"),
    )
    assert plain.neighbors is None
    assert np.array_equal(plain.values[0], counted.values[0]) and np.array_equal(
        plain.log_mass, counted.log_mass
    )


def test_the_result_is_the_same_without_onednn(monkeypatch):
    queries, keys = unit(60, seed=1), unit(900, seed=2)
    fast = aggregate(queries, keys, keys, 0.01, tile=(16, 128), device="cpu")
    monkeypatch.setattr(layers, "_onednn", None)
    slow = aggregate(queries, keys, keys, 0.01, tile=(16, 128), device="cpu")
    assert np.abs(fast.values[0] - slow.values[0]).max() < 1e-5 and np.allclose(
        fast.neighbors, slow.neighbors, rtol=1e-4
    )


@pytest.mark.parametrize("switch", ["high", "medium", "new"])
def test_reduced_precision_of_the_caller_is_set_aside_and_restored(switch):
    queries, keys = unit(60, seed=1), unit(900, seed=2)
    plain = aggregate(queries, keys, keys, 0.01, device="cpu").values[0]
    matmul, before = torch.backends.mkldnn.matmul, torch.get_float32_matmul_precision()
    try:
        if switch == "new":
            matmul.fp32_precision = "bf16"
        else:
            torch.set_float32_matmul_precision(switch)
        state = matmul.fp32_precision, torch.backends.cuda.matmul.fp32_precision
        assert np.array_equal(aggregate(queries, keys, keys, 0.01, device="cpu").values[0], plain)
        assert state == (matmul.fp32_precision, torch.backends.cuda.matmul.fp32_precision)
        if switch != "new":
            assert torch.get_float32_matmul_precision() == switch
    finally:
        matmul.fp32_precision = "none"
        torch.set_float32_matmul_precision(before)


def test_duplicates_count_as_often_as_they_occur():
    queries, keys = unit(9, seed=1), unit(40, seed=2)
    once = aggregate(queries, keys, keys, 0.01, device="cpu")
    many = np.tile(keys, (25, 1))
    often = aggregate(queries, many, many, 0.01, tile=(4, 64), device="cpu")
    assert np.abs(once.values[0] - often.values[0]).max() < 1e-5
    assert np.allclose(often.neighbors, 25 * once.neighbors, rtol=1e-5)


def test_value_banks_share_the_weights():
    queries, keys, left, right = (
        unit(60, seed=1),
        unit(500, seed=2),
        unit(500, 32, seed=3),
        unit(500, 8, seed=4),
    )
    together = aggregate(
        queries, keys, [left, keys, right], 0.02, tile=(16, 90), device="cpu"
    ).values
    for bank, value in zip([left, keys, right], together):
        assert np.abs(value - reference(queries, keys, bank, 0.02)[0]).max() < 1e-5
        assert np.array_equal(
            value, aggregate(queries, keys, bank, 0.02, tile=(16, 90), device="cpu").values[0]
        )


def test_without_normalization_rows_are_weighted_means():
    queries, keys = unit(7, seed=1), unit(90, seed=2)
    mean = aggregate(queries, keys, keys, 0.1, normalize=False, device="cpu").values[0]
    assert (np.linalg.norm(mean, axis=1) < 0.999).all()
    assert (
        np.abs(
            mean / np.linalg.norm(mean, axis=1, keepdims=True)
            - reference(queries, keys, keys, 0.1)[0]
        ).max()
        < 1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_order_of_keys_and_tiles_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    queries, keys, values = (
        unit(80, seed=seed),
        unit(900, seed=seed + 50),
        unit(900, seed=seed + 90),
    )
    plain = aggregate(queries, keys, values, 0.05, device="cpu")
    order, tile = rng.permutation(900), tuple(rng.integers(1, 400, 2).tolist())
    mixed = aggregate(queries, keys[order], values[order], 0.05, tile=tile, device="cpu")
    assert np.abs(plain.values[0] - mixed.values[0]).max() < 1e-6, tile


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_memory_maps_of_any_float_type_are_read(tmp_path, dtype):
    queries, keys = unit(70, seed=1).astype(dtype), unit(1000, seed=2).astype(dtype)
    np.save(tmp_path / "keys.npy", keys)
    mapped = np.load(tmp_path / "keys.npy", mmap_mode="r")
    result = aggregate(queries, mapped, mapped, 0.01, tile=(32, 128), device="cpu")
    assert type(result.values[0]) is np.ndarray
    expected = reference(
        queries.astype(np.float32), keys.astype(np.float32), keys.astype(np.float32), 0.01
    )[0]
    assert np.abs(result.values[0] - expected).max() < 3e-5


def test_tensors_give_tensors_and_progress_is_reported():
    queries, keys = torch.from_numpy(unit(70, seed=1)), torch.from_numpy(unit(1000, seed=2))
    kept, calls = keys.clone(), []
    queries.requires_grad_()
    result = aggregate(
        queries,
        keys,
        keys,
        0.01,
        tile=(32, 128),
        device="cpu",
        progress=lambda *at: calls.append(at),
    )
    assert (
        torch.is_tensor(result.values[0])
        and not result.values[0].requires_grad
        and torch.is_tensor(result.log_mass)
    )
    assert torch.equal(keys, kept)  # inputs are used in place, never written
    assert calls[-1] == (70_000, 70_000) and calls == sorted(calls)


def test_wrong_input_is_refused():
    queries, keys, values = unit(6, seed=1), unit(700, seed=2), unit(700, d=5, seed=3)
    for tau in (0, -0.01, float("nan"), float("inf"), None):
        with pytest.raises(ConfigError, match="tau"):
            aggregate(queries, keys, keys, tau)
    with pytest.raises(ConfigError, match=r"\(6, 40\)"):
        aggregate(queries[:, :40], keys, keys, 0.01)
    with pytest.raises(ConfigError, match=r"values\[1\]"):
        aggregate(queries, keys, [keys, keys[:5]], 0.01)
    with pytest.raises(ConfigError, match="no keys"):
        aggregate(queries, keys[:0], keys[:0], 0.01)
    with pytest.raises(ConfigError, match="no value"):
        aggregate(queries, keys, [], 0.01)
    with pytest.raises(ConfigError, match="precision"):
        aggregate(queries, keys, keys, 0.01, device="cpu", precision="bfloat16")
    with pytest.raises(ConfigError, match="tile"):
        aggregate(queries, keys, keys, 0.01, tile=(0, 5))
    with pytest.raises(ConfigError, match="zero"):
        aggregate(queries, keys, np.zeros_like(keys), 0.01, device="cpu")
    with pytest.raises(ConfigError, match="infinite"):
        aggregate(queries, keys, 3e38 * np.ones_like(keys), 1.0, device="cpu")
    for k in (0, 701):
        with pytest.raises(ConfigError, match="700"):
            topk(queries, keys, k)
    for value in (np.nan, np.inf, -np.inf):
        bad = keys.copy()
        bad[650, 3] = value
        for call in (
            lambda: aggregate(queries, bad, keys, 0.01, device="cpu"),
            lambda: topk(queries, bad, 3, device="cpu"),
        ):
            with pytest.raises(ConfigError, match="keys: row 650"):
                call()
        with pytest.raises(ConfigError, match=r"values\[0\]: row 650"):
            aggregate(queries, keys, bad, 0.01, device="cpu")
        with pytest.raises(ConfigError, match=r"values\[2\]: row 650"):
            aggregate(queries, keys, [keys, values, bad, values], 0.01, device="cpu")
        with pytest.raises(ConfigError, match="queries: row 4"):
            aggregate(bad[646:655], keys, keys, 0.01, device="cpu")


@pytest.mark.parametrize("threads", [1, 2, 5], indirect=True)
@pytest.mark.parametrize("n", [1, 19, 20, 700])
def test_threads_share_the_queries(threads, n, monkeypatch):
    used, add = set(), module._Softmax.add
    count = threads if n * 1003 >= tiles.FEWEST else 1
    meet = threading.Barrier(count, timeout=60)

    def watched(self, *shown):
        me = threading.get_ident(), torch.get_num_threads()
        if len(used) < count and me not in used:
            meet.wait()  # all of them run at once
            used.add(me)
        add(self, *shown)

    monkeypatch.setattr(module._Softmax, "add", watched)
    queries, keys, values = unit(n, seed=1), unit(1003, seed=2), unit(1003, d=20, seed=3)
    result = aggregate(queries, keys, values, 0.05, tile=(200, 101), device="cpu")
    assert np.abs(result.values[0] - reference(queries, keys, values, 0.05)[0]).max() < 1e-5
    result = topk(queries, keys, 5, tile=(200, 101), device="cpu")
    assert np.allclose(result.scores, np.sort(queries @ keys.T)[:, :-6:-1], atol=1e-6)
    assert {cores for _, cores in used} == {threads // count} and len(used) == count
    assert (threading.get_ident() in {thread for thread, _ in used}) == (count == 1)
    assert torch.get_num_threads() == threads
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == threads


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_an_error_in_a_thread_is_raised(threads, monkeypatch):
    def fails(self, first, keys, values):
        if first >= 300:
            raise MemoryError(f"at {first}")

    monkeypatch.setattr(module._Softmax, "add", fails)
    with pytest.raises(MemoryError, match="at 300") as caught:  # holds the frames
        module.aggregate(
            unit(300, seed=1), unit(1003, seed=2), unit(1003, seed=3), 0.01, device="cpu"
        )
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == threads
    torch.set_num_threads(threads + 1)
    del caught
    gc.collect()
    assert torch.get_num_threads() == threads + 1, "nothing sets it afterwards"


@pytest.mark.parametrize("threads", [1, 3], indirect=True)
def test_inference_mode_changes_nothing(threads):
    queries, keys = unit(100, seed=1), unit(1003, seed=2)
    plain, best = (
        module.aggregate(queries, keys, keys, 0.05, device="cpu"),
        topk(queries, keys, 5, device="cpu"),
    )
    with torch.inference_mode():
        result, again = (
            module.aggregate(queries, keys, keys, 0.05, device="cpu"),
            topk(queries, keys, 5, device="cpu"),
        )
    assert np.array_equal(result.values[0], plain.values[0]) and np.array_equal(
        again.indices, best.indices
    )


@pytest.mark.parametrize("n", [0, 1, 9, 63, 1536, 1537, 20_000])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_parts_are_as_equal_as_possible(n, threads):
    size = tiles._share(n, 1536, threads)
    parts = [len(part) for part in torch.empty(n).split(size)] if n else []
    assert (
        sum(parts) == n
        and size <= 1536
        and (not n or len(parts) <= -(-n // (1536 * threads)) * threads)
    )
    assert n < threads**2 or len(parts) % threads == 0


def shard(rank, port, folder):
    """One of two processes; the third case leaves the second process without keys."""
    torch.set_num_threads(2 + rank)  # ranks may differ in their number of cores
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    tiles.BLOCK, tiles.FEWEST = 300, 10_000  # the larger shards are worth threads
    queries, keys, values = unit(50, seed=1), unit(1001, seed=2), unit(1001, d=16, seed=3)
    for case, cut in enumerate((400, 999, 1001)):
        mine = slice(None, cut) if rank == 0 else slice(cut, None)
        for tau in (0.01, 0.001):
            inputs = queries, keys[mine], [keys[mine], values[mine]], tau
            settings = {"tile": (16, 128), "device": "cpu", "group": torch.distributed.group.WORLD}
            result, uncounted = (
                aggregate(*inputs, **settings),
                module.aggregate(*inputs, **settings),
            )
            assert (
                all(map(np.array_equal, result.values, uncounted.values))
                and uncounted.neighbors is None
            )
            np.savez(
                folder / f"{case}-{tau}-{rank}.npz",
                *result.values,
                result.neighbors,
                result.log_mass,
            )
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_result_of_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    ranks = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(port), str(tmp_path)], env=env)
        for rank in (0, 1)
    ]
    try:
        assert [rank.wait(timeout=100) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    queries, keys, values = unit(50, seed=1), unit(1001, seed=2), unit(1001, d=16, seed=3)
    for path in sorted(tmp_path.glob("*.npz")):
        tau = float(path.stem.split("-")[1])
        one = aggregate(queries, keys, [keys, values], tau, tile=(16, 128), device="cpu")
        own, other, neighbors, log_mass = np.load(path).values()
        assert (
            np.abs(own - one.values[0]).max() < 1e-5 and np.abs(other - one.values[1]).max() < 1e-5
        ), path.name
        assert np.allclose(neighbors, one.neighbors, rtol=1e-4) and np.allclose(
            log_mass, one.log_mass, rtol=1e-5
        )
    assert len(list(tmp_path.glob("*.npz"))) == 12


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision, bound", [("float32", 3e-5), ("tf32", 3e-2)])
def test_a_gpu_gives_the_same_values(precision, bound):
    queries, keys = unit(300, seed=1), unit(5000, seed=2)
    result = aggregate(
        queries, keys, keys, 0.01, tile=(64, 512), device="cuda", precision=precision
    )
    assert np.abs(result.values[0] - reference(queries, keys, keys, 0.01)[0]).max() < bound


if __name__ == "__main__":  # the two processes; spawn() cannot import a test file by name
    shard(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
