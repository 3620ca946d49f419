"""Work in forked processes, which start in milliseconds, to be killed and to run at once."""

import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def start(work: Callable[[], object]) -> int:
    """Run `work` in a child. Returns its process id; the exit status is 0, or 1 after an error."""
    sys.stdout.flush()
    sys.stderr.flush()
    # An interrupt outside the `try` of `_run` would leave the child as a second process that goes
    # on with the parent's work, here pytest.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = os.fork()
    if pid == 0:
        _run(work, mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _run(work: Callable[[], object], mask: set[int]) -> NoReturn:
    """The child's part of `start`: it ends here, also when the interrupt comes after `work`."""
    status = 1
    try:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            work()
            status = 0
        except KeyboardInterrupt:
            status = 130
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        status = 130
    finally:
        os._exit(status)


def result(pid: int) -> int:
    """Wait for a child: its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ranks(work: Callable[[], object], size: int = 2, limit: float = 120) -> list[int]:
    """Run `work` in `size` processes with the environment of torchrun, gloo and one thread each.

    As torchrun does, end all as soon as one fails, or after `limit` seconds. Returns statuses as
    `result`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def one(rank: int) -> None:
        import torch

        torch.set_num_threads(1)  # a child may not use the threads of its parent
        torch.cuda.is_available = lambda: False
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        work()

    pids = [start(lambda rank=rank: one(rank)) for rank in range(size)]
    statuses, end = {}, time.monotonic() + limit
    while left := [pid for pid in pids if pid not in statuses]:
        for pid in left:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                statuses[pid] = os.waitstatus_to_exitcode(status)
        if any(statuses.values()) or time.monotonic() > end:
            for pid in set(left) - set(statuses):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return [statuses[pid] for pid in pids]


def seconds(work: Callable[[], object]) -> float:
    """How long a child takes for `work`."""
    begin = time.monotonic()
    assert result(start(work)) == 0
    return time.monotonic() - begin


def killed(work: Callable[[], object], after: float, by: int) -> int:
    """Start `work`, send a signal after some seconds. Returns as `result`."""
    pid = start(work)
    time.sleep(after)
    os.kill(pid, by)
    return result(pid)


def kill_at_random(
    work: Callable[[], object], clean: Callable[[], object], times: int, seed: int = 0
) -> list[int]:
    """Kill `work` at random moments, by each signal in turn; `clean` deletes its results first in a
    third of the cases, so that a kill also meets work that has been half done. Returns statuses."""
    rng, statuses = random.Random(seed), []
    clean()
    whole = seconds(work)
    for turn in range(times):
        if rng.random() < 2 / 3:
            clean()
        statuses.append(killed(work, rng.uniform(0, whole), SIGNALS[turn % len(SIGNALS)]))
    return statuses


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too: {relative path: content}."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def flip(path: Path, bit: int) -> None:
    """Change one bit of a file in place."""
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)
