"""Run a program that downloads something, and end it with this process."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

POLL = 0.2  # seconds between two looks at what has arrived


def run(words: Sequence[str], folder: Path, watch: Callable[[], None] = lambda: None) -> str:
    """Run a program, which ends with this process. Returns "", or the end of its error output.

    watch: called every POLL seconds, and at the end.
    """
    # A killed run must leave no program behind that goes on writing.
    prefix = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*prefix, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            while True:
                try:
                    status = process.wait(POLL)
                    break
                except subprocess.TimeoutExpired:
                    watch()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        watch()
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace").strip()
    return "" if status == 0 else text[-300:] or f"status {status}"
