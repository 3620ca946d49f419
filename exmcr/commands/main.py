"""`exmcr`: all commands, and the one place where an error becomes one line."""

import os
import sys
from collections.abc import Sequence

import typer

from exmcr.commands import (
    ablate,
    compare,
    cones,
    data,
    demo,
    downstream,
    export,
    failures,
    growth,
    guard,
    import_bank,
    index,
    report,
    results,
    search,
    set_values,
    speech,
    stages,
    sweep,
    verify,
    weights,
)
from exmcr.commands.notebook import NotebookError
from exmcr.common.errors import BadItem, ConfigError

INTERRUPTED = "interrupted; the same command goes on where this one stopped"

app = typer.Typer(
    name="exmcr",
    help="Extend frozen multi-modal contrastive spaces without paired data: Ex-MCR and C-MCR.",
    epilog="`dvc repro` (or `make repro`) runs the stages from corpora to examples in order.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
# In the order of `exmcr --help`.
for module in (
    stages,
    set_values,
    compare,
    sweep,
    ablate,
    growth,
    cones,
    downstream,
    speech,
    data,
    export,
    import_bank,
    weights,
    verify,
    results,
    search,
    index,
    demo,
    report,
):
    module.register(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns the exit status (see failures.py). A failure is one message on stderr, never a
    traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    status = failures.WRONG_INPUT
    try:
        app(arguments, prog_name="exmcr")
        return 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if status != failures.INTERRUPTED:
            return status
        message = INTERRUPTED
    except KeyboardInterrupt:
        status, message = failures.INTERRUPTED, INTERRUPTED
    except (ConfigError, BadItem) as error:
        message = str(error)
    except ModuleNotFoundError as error:
        name = (error.name or "exmcr").partition(".")[0]
        if name == "exmcr":
            status, message = failures.PROGRAM_ERROR, failures.of_program(error, arguments)
        else:
            message = f"the package {name} is missing; it comes with an extra of exmcr (README)"
    except NotebookError as error:
        status, message = failures.PROGRAM_ERROR, str(error)
    except Exception as error:
        status, message = failures.PROGRAM_ERROR, failures.of_program(error, arguments)
    print(f"exmcr {arguments[0] if arguments else ''}: {message}", file=sys.stderr)
    return status


def run() -> None:
    """The console script `exmcr`."""
    guard.end_with_dvc()
    status = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has gone; the flush at exit would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
