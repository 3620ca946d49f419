"""Run `render.make` on many jobs in worker processes that may hang or die."""

import faulthandler
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from exmcr.common.errors import BadItem, ConfigError
from exmcr.corpora.mini import render

CHUNK = 16  # jobs that a worker is sent at a time
LIMIT = 30  # seconds per item

Job = tuple[render.Job, Path]
Result = tuple[str, str]  # of render.make

_started: "multiprocessing.sharedctypes.SynchronizedArray[int]"
_place: int  # of this process in _started
_limit: float  # seconds per item


def run(jobs: Sequence[Job], names: Sequence[str], limit: float = LIMIT) -> list[Result]:
    """The result of every job, in order.

    names: of the items, for messages; limit: seconds per item. An item that takes longer is
    unusable.

    Raises ConfigError that names the item if a worker dies, or is still busy after twice the limit
    in code that cannot be interrupted.
    """
    context = multiprocessing.get_context("spawn")
    count = os.cpu_count() or 1
    started = context.Array("q", [-1] * count)
    next_place = context.Value("i", 0)
    chunks = [range(k, min(k + CHUNK, len(jobs))) for k in range(0, len(jobs), CHUNK)]
    try:
        with ProcessPoolExecutor(count, context, _begin, (started, next_place, limit)) as pool:
            work = pool.map(_run, ([(i, jobs[i]) for i in chunk] for chunk in chunks))
            with tqdm(total=len(jobs), desc="rendering items", unit="item") as bar:
                results: list[Result] = []
                for part in work:
                    results += part
                    bar.update(len(part))
            return results
    except BrokenProcessPool as error:
        suspects = [i for i in started[:] if i >= 0]
        raise ConfigError(_explanation(jobs, names, suspects, limit)) from error


def _explanation(
    jobs: Sequence[Job], names: Sequence[str], suspects: list[int], limit: float
) -> str:
    """Why a worker died. suspects: the jobs that were running, which run again, one by one."""
    for i in suspects:
        try:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                pool.submit(render.make, jobs[i]).result(timeout=2 * limit)
        except (BrokenProcessPool, TimeoutError):
            return f"item '{names[i]}' hangs or ends the process that renders it"
    running = " or ".join(f"'{names[i]}'" for i in suspects) or "items"
    return (
        f"a worker process was killed while rendering {running} (by the system if memory ran out); "
        "run again to continue"
    )


def _begin(started, next_place, limit: float) -> None:
    """Prepare a worker: give it a place in the table of running jobs."""
    global _started, _place, _limit
    _started, _limit = started, limit
    with next_place.get_lock():
        _place = next_place.value
        next_place.value += 1
    signal.signal(signal.SIGALRM, _too_long)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the main process, which ends this


def _too_long(number: int, frame: FrameType | None) -> None:
    raise BadItem(f"takes longer than {_limit:g} seconds")


def _run(jobs: list[tuple[int, Job]]) -> list[Result]:
    results = []
    with open(os.devnull, "w") as nowhere:
        for i, job in jobs:
            _started[_place] = i
            signal.setitimer(signal.ITIMER_REAL, _limit)
            # Ends the process, even inside code of other languages that no signal interrupts.
            faulthandler.dump_traceback_later(2 * _limit, exit=True, file=nowhere)
            try:
                results.append(render.make(job))
            except BadItem as error:  # the limit, outside the code that render.make guards
                results.append(("", str(error)))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                faulthandler.cancel_dump_traceback_later()
            _started[_place] = -1
    return results
