"""Items loaded by threads, in order and ahead of their use, in bounded memory."""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from exmcr.common.errors import BadItem
from exmcr.media import limits
from exmcr.media.chunks import size_of

Loaded = tuple[Any, Any, str | None]  # item, what it is in memory, why it cannot be used


def load_ahead(
    load: Callable[[Any], Any], items: Sequence[Any], most: int, threads: int | None = None
) -> Generator[Loaded, None, None]:
    """Yield (item, loaded, None) in the order of `items`; (item, None, reason) after a BadItem.

    most     items that are loaded before they are needed, at most. They are fewer if they take
             limits.CHUNK bytes together; each thread may exceed that by the item that it loads
    threads  default: the cores of this process, from 2 to 8
    """
    gate, waiting = _Gate(), deque[tuple[Any, Future]]()

    def attempt(place: int, item: Any) -> tuple[Any, str | None, int]:
        gate.enter(place)
        try:
            loaded, reason = load(item), None
        except BadItem as error:
            loaded, reason = None, str(error)
        size = size_of(loaded)
        gate.add(size)
        return loaded, reason, size

    pool = ThreadPoolExecutor(threads or _threads())
    places = iter(enumerate(items))
    try:
        for place in range(len(items)):
            while len(waiting) < most and (following := next(places, None)):
                waiting.append((following[1], pool.submit(attempt, *following)))
            gate.need(place)
            item, future = waiting.popleft()
            loaded, reason, size = future.result()
            del future  # it holds the item
            gate.add(-size)
            yield item, loaded, reason
            del loaded
    finally:
        gate.need(len(items))  # lets every thread through
        pool.shutdown(cancel_futures=True)


def _threads() -> int:
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # of torchrun, on this machine
    return max(2, min(8, (os.cpu_count() or 1) // processes))


class _Gate:
    """Holds back threads while the items that are loaded and not yet needed take too much memory.

    The item that is needed next passes in any case, so nobody waits for ever.
    """

    def __init__(self) -> None:
        self._bytes, self._needed = 0, 0
        self._changed = threading.Condition()

    def enter(self, place: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: place <= self._needed or self._bytes < limits.CHUNK)

    def add(self, size: int) -> None:
        with self._changed:
            self._bytes += size
            self._changed.notify_all()

    def need(self, place: int) -> None:
        with self._changed:
            self._needed = place
            self._changed.notify_all()
