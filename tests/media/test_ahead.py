"""Items are loaded in order, ahead of their use, within a bound of number and of bytes."""

import threading
import time
import weakref

import numpy as np
import pytest

from exmcr.common.errors import BadItem
from exmcr.media import limits
from exmcr.media.ahead import load_ahead

KB = 1024


class Alive:
    """Loads arrays of the given sizes, and keeps the largest number of bytes that lived at once."""

    def __init__(self, sizes, seed=0):
        self.sizes, self.now, self.most, self.started = sizes, 0, 0, []
        self.lock, self.rng = threading.Lock(), np.random.default_rng(seed)

    def __call__(self, item):
        with self.lock:
            self.started.append(item)
            pause = self.rng.uniform(0, 2e-4)
        time.sleep(pause)  # so that threads end in any order
        array = np.full(self.sizes[item], item % 251, np.uint8)
        with self.lock:
            self.now += array.nbytes
            self.most = max(self.most, self.now)
        weakref.finalize(array, self.gone, array.nbytes)
        return array

    def gone(self, size):
        with self.lock:
            self.now -= size


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("most", [1, 3, 64])
@pytest.mark.parametrize("sizes", ["small", "large", "mixed"])
def test_order_number_and_bytes(monkeypatch, sizes, most, threads):
    monkeypatch.setattr(limits, "CHUNK", 50 * KB)
    rng, largest = np.random.default_rng(most), {"small": KB, "large": 90 * KB, "mixed": 90 * KB}
    sizes = rng.integers(1, 1 + (KB if sizes == "small" else largest[sizes]), 120).tolist()
    load = Alive(sizes)
    for place, (item, loaded, reason) in enumerate(load_ahead(load, range(120), most, threads)):
        assert item == place and reason is None
        assert loaded.nbytes == sizes[place] and loaded[0] == place % 251
        assert len(load.started) - place <= most + 1
        del loaded
    # What waits, one item per thread beyond that, and the one in use.
    assert load.most <= limits.CHUNK + (threads + 1) * max(sizes)
    assert load.started == sorted(load.started) or threads > 1


def test_many_large_photographs_wait_in_bounded_memory(monkeypatch):
    """As 500 photographs of 24 megapixels in shards of 512, a thousandth in size."""
    monkeypatch.setattr(limits, "CHUNK", 256 * KB)
    load, photograph = Alive([72 * KB] * 500), 72 * KB
    for _, loaded, _ in load_ahead(load, range(500), 1024, threads=2):
        del loaded
    assert 2 * photograph <= load.most <= 256 * KB + 3 * photograph


def test_a_bad_item_has_a_reason_and_other_errors_stop_the_loading():
    def load(item):
        if item == 3:
            raise BadItem("three is damaged")
        if item == 7:
            raise ZeroDivisionError
        return item

    stream = load_ahead(load, range(1000), 4, threads=2)
    first = [next(stream) for _ in range(7)]
    assert first[3] == (3, None, "three is damaged")
    assert [item for item, loaded, _ in first if loaded == item] == [0, 1, 2, 4, 5, 6]
    with pytest.raises(ZeroDivisionError):
        next(stream)


@pytest.mark.parametrize("seen", [0, 1, 5])
def test_a_stream_that_is_left_early_ends_its_threads(monkeypatch, seen):
    monkeypatch.setattr(limits, "CHUNK", 10)  # every thread waits at the gate
    before, started = threading.active_count(), []
    stream = load_ahead(lambda n: started.append(n) or np.zeros(100), range(300), 50, threads=4)
    for _ in range(seen):
        next(stream)
    stream.close()
    assert threading.active_count() == before
    assert len(started) <= seen + 60


def test_nothing_is_loaded_of_no_items():
    assert list(load_ahead(lambda item: 1 / 0, [], 5)) == []
