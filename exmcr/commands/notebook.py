"""Execute a notebook of the project headless."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from exmcr.commands.failures import one_line
from exmcr.common.errors import BadItem, ConfigError

# The kernel says nothing of its own: neither that it talks to this process, on the same machine,
# unencrypted, nor the traceback of its end when it is interrupted.
QUIET = ["--IPKernelApp.log_level=50"]
# Errors of the user's input: their message is enough.
EXPECTED = {error.__name__: error for error in (ConfigError, BadItem)}


class NotebookError(Exception):
    """An error of the program in a notebook, whose executed copy has the traceback."""


def execute(name: str, root: Path) -> None:
    """Execute notebooks/<name>.ipynb of the project in `root` into reports/notebooks.

    If a cell fails, the executed copy keeps the whole traceback. Raises the ConfigError or BadItem
    that stopped the notebook, NotebookError for any other error in it, and ConfigError if the
    notebook cannot be read or its kernel died.
    """
    import nbclient
    import nbformat
    import papermill

    source, executed = (
        folder / f"{name}.ipynb" for folder in (root / "notebooks", root / "reports/notebooks")
    )
    if not source.is_file():
        raise ConfigError(f"no notebook {source}; copy it from notebooks/ of the repository")
    executed.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _settings_folder():
            papermill.execute_notebook(
                source,
                executed,
                {"project": "."},
                kernel_name="python3",
                cwd=root,
                extra_arguments=QUIET,
            )
    except KeyboardInterrupt:
        _forget_tasks()
        raise
    except papermill.PapermillExecutionError as error:
        if error.ename == "KeyboardInterrupt":
            _forget_tasks()
            raise KeyboardInterrupt from None
        if error.ename in EXPECTED:
            raise EXPECTED[error.ename](f"{name}: {error.evalue}") from None
        reason = one_line(f"{name}: {error.ename}: {error.evalue}")
        raise NotebookError(f"{reason} (traceback: {executed})") from None
    except nbclient.exceptions.DeadKernelError:
        raise ConfigError(
            f"{name}: the kernel died; it was killed, perhaps because the memory was full"
        ) from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is damaged: {one_line(str(error))}") from None


def _forget_tasks() -> None:
    """After an interrupt, keep asyncio from reporting the task that nbclient leaves behind.

    The task fails when the kernel ends, and its traceback would follow the message of the
    interrupt.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _settings_folder() -> Iterator[None]:
    """Give IPython, which writes into HOME, a temporary folder if it cannot."""
    try:
        (Path.home() / ".ipython").mkdir(exist_ok=True)
        writable = True
    except (OSError, RuntimeError):
        writable = False
    if writable or "IPYTHONDIR" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="ipython-") as folder:
        os.environ["IPYTHONDIR"] = folder
        try:
            yield
        finally:
            del os.environ["IPYTHONDIR"]
