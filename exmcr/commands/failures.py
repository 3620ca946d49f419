"""What a command says when it fails. Nobody sees a traceback unless they look for it.

0    success
1    a check failed (verify, weights), or the reader of the output has gone
2    wrong input: one message that says what, where and what to do
3    an error of the program: one line; the traceback is in a file that it names
130  interrupted
"""

import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_text
from exmcr.common.paths import project_root

WRONG_INPUT, PROGRAM_ERROR, INTERRUPTED = 2, 3, 130


def one_line(text: str, most: int = 500) -> str:
    """The lines of a message as one."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def of_program(error: BaseException, arguments: Sequence[str]) -> str:
    """The message about an error that no command expects. Its traceback goes to reports/error.log
    of the project, or to a temporary file."""
    what = one_line(f"{type(error).__name__}: {error}")
    text = f"exmcr {' '.join(arguments)}\n\n{''.join(traceback.format_exception(error))}"
    for path in (_reports(arguments), Path(tempfile.gettempdir())):
        try:
            if path is not None:
                write_text(path / "error.log", text)
                return f"{what} (an error of the program; traceback: {path / 'error.log'})"
        except (OSError, ConfigError):  # a full or read-only disk
            continue
    return f"{what} (an error of the program; its traceback could not be written)"


def _reports(arguments: Sequence[str]) -> Path | None:
    """The folder `reports` of the project that a command line names, None without a project."""
    chosen = [
        argument.removeprefix("--project=") if "=" in argument else after
        for argument, after in zip(arguments, (*arguments[1:], ""), strict=True)
        if argument == "--project" or argument.startswith("--project=")
    ]
    try:
        return project_root(Path(chosen[-1]) if chosen else None) / "reports"
    except (ConfigError, OSError):
        return None
