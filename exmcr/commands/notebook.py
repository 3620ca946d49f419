"""Execute a notebook of the project headless."""

import sys
from pathlib import Path

from exmcr.common.errors import BadItem, ConfigError

# The kernel warns that it talks to this process unencrypted, on this machine.
QUIET = ["--IPKernelApp.log_level=40"]
# What a user can fix; the message is enough.
EXPECTED = {error.__name__: error for error in (ConfigError, BadItem)}


def execute(name: str, root: Path) -> None:
    """Execute notebooks/<name>.ipynb of the project in `root` into reports/notebooks.

    If a cell fails, the executed copy keeps the whole traceback. Raises the ConfigError or BadItem
    that stopped the notebook, and ConfigError for any other error, after printing its traceback.
    """
    import papermill

    executed = root / "reports/notebooks" / f"{name}.ipynb"
    executed.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            root / "notebooks" / executed.name,
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
