"""python -m exmcr.run_notebook 00_spaces: run a notebook on this project, as `dvc repro` does; when it cannot go on, the last line says why.

The executed copy is in reports/notebooks, with the whole traceback if it failed; the reason alone is in reports/stopped.txt."""

import sys
from pathlib import Path

from exmcr import config
from exmcr.errors import BadItem, ConfigError, note_stop

QUIET = ["--IPKernelApp.log_level=40"]  # the kernel warns that it talks to this process without encryption, on this machine
EXPECTED = (ConfigError.__name__, BadItem.__name__)  # what a user can put right; their message is enough


def run(name: str, root: Path) -> None:
    """Execute notebooks/<name>.ipynb of the project in `root` (the current folder). Raises SystemExit with the reason."""
    import papermill

    executed = root / "reports/notebooks" / f"{name}.ipynb"
    executed.parent.mkdir(parents=True, exist_ok=True)
    note_stop(root)
    try:
        papermill.execute_notebook(root / "notebooks" / executed.name, executed, {"project": "."}, kernel_name="python3", extra_arguments=QUIET)
    except papermill.PapermillExecutionError as error:
        reason = f"{name}: {error.evalue}" if error.ename in EXPECTED else f"{name}: {error.ename}: {error.evalue}"
        note_stop(root, reason)
        if error.ename not in EXPECTED:
            print(error, file=sys.stderr)
        raise SystemExit(reason) from None


if __name__ == "__main__":
    run(sys.argv[1], config.project_root())
