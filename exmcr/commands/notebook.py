"""Execute a notebook of the project headless."""

import sys
from pathlib import Path

from exmcr.common.errors import BadItem, ConfigError

# Without it the kernel warns that it talks to this process, on the same machine, unencrypted.
QUIET = ["--IPKernelApp.log_level=40"]
# Errors of the user's input: their message is enough.
EXPECTED = {error.__name__: error for error in (ConfigError, BadItem)}


def execute(name: str, root: Path) -> None:
    """Execute notebooks/<name>.ipynb of the project in `root` into reports/notebooks.

    If a cell fails, the executed copy keeps the whole traceback. Raises the ConfigError or BadItem
    that stopped the notebook; for any other error, prints its traceback and raises ConfigError.
    """
    import papermill

    source, executed = (
        folder / f"{name}.ipynb" for folder in (root / "notebooks", root / "reports/notebooks")
    )
    if not source.is_file():
        raise ConfigError(f"no notebook {source}; copy it from notebooks/ of the repository")
    executed.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            source,
            executed,
            {"project": "."},
            kernel_name="python3",
            cwd=root,
            extra_arguments=QUIET,
        )
    except papermill.PapermillExecutionError as error:
        if error.ename in EXPECTED:
            raise EXPECTED[error.ename](f"{name}: {error.evalue}") from None
        print(error, file=sys.stderr)
        raise ConfigError(f"{name}: {error.ename}: {error.evalue}") from None
