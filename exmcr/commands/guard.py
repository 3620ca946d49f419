"""A stage that DVC started ends with DVC.

If `dvc` is killed alone, its stage would go on, and an immediate restart would run the stage twice
at a time. The kernel of a notebook ends with this process by itself (ipykernel polls its parent).
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

SHELLS = ("sh", "bash", "dash", "zsh", "ksh")  # DVC runs commands through one of them
INTERVAL = 0.5  # seconds
GRACE = 5.0  # seconds from the interrupt to the end

Process = tuple[int, str]  # pid, and its start time, which tells it from a later one of this pid


def end_with_dvc() -> None:
    """Watch the processes between this one and DVC, from a thread; does nothing without DVC."""
    if "DVC_STAGE" in os.environ:
        watched = starters(os.getppid())
        threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def starters(pid: int) -> list[Process]:
    """A process and, if it is a shell, those above it up to the first that is none."""
    found = []
    while (stat := _stat(pid)) is not None:
        name, parent, started = stat
        found.append((pid, started))
        if name not in SHELLS:
            break
        pid = parent
    return found


def _stat(pid: int) -> tuple[str, int, str] | None:
    """(name, parent, start time) of a process; None if there is none, or no /proc."""
    try:
        before, after = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)
    except (OSError, ValueError):
        return None
    fields = after.split()
    return before.split("(", 1)[1], int(fields[1]), fields[19]


def _watch(watched: list[Process]) -> None:
    parent = os.getppid()
    while os.getppid() == parent and all((_stat(pid) or "   ")[2] == t for pid, t in watched):
        time.sleep(INTERVAL)
    print("dvc has ended, so this stage ends as well", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE)
    os._exit(130)
