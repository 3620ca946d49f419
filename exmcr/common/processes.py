"""Which process wrote a file, whether it still runs, and cleaning up on SIGTERM."""

import hashlib
import os
import platform
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING = (signal.SIGTERM, signal.SIGHUP)


def signature() -> str:
    """`<host>-<pid>-<start>` of this process: safe in a file name, never reused on one machine."""
    pid = os.getpid()
    return f"{_host()}-{pid}-{_start(pid)}"


def has_ended(signature: str) -> bool | None:
    """Whether the process of a `signature` has ended; None if it ran on another host."""
    host, pid, start = signature.rsplit("-", 2)
    if host != _host():
        return None
    return _start(int(pid)) != int(start)


@contextmanager
def cleanup_on_signals() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP run `finally` blocks before they end the process.

    Python ends at once on these signals, and leaves drafts and locks behind. The process still dies
    of the signal, at the end of the outermost such block. Handlers that are installed already stay,
    and so does the default in threads, which cannot install any.
    """
    in_main = threading.current_thread() is threading.main_thread()
    ours = [s for s in ENDING if in_main and signal.getsignal(s) is signal.SIG_DFL]
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        received.append(number)
        raise SystemExit(128 + number)

    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if received:
            os.kill(os.getpid(), received[0])


def _host() -> str:
    """Eight hex digits for this machine, or this container: process ids are unique within it."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{platform.node()} {numbering}".encode()).hexdigest()[:8]


def _start(pid: int) -> int:
    """When a process started, in clock ticks since boot; -1 if it does not run.

    0 where /proc is missing (macOS): a reused process id then counts as the same process.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return -1 if fields[0] in "ZX" else int(fields[19])  # Z: killed, but not reaped yet
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return -1
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return -1
    except PermissionError:
        pass
    return 0
