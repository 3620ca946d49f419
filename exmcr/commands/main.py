"""`exmcr`: all commands, and the one place where an error becomes one line."""

import os
import sys
from collections.abc import Sequence

import typer

from exmcr.commands import (
    ablate,
    compare,
    downstream,
    export,
    growth,
    import_bank,
    results,
    search,
    stages,
    sweep,
    verify,
    weights,
)
from exmcr.common.errors import BadItem, ConfigError

app = typer.Typer(
    name="exmcr",
    help="Extend frozen multi-modal contrastive spaces without paired data: Ex-MCR and C-MCR.",
    epilog="`dvc repro` (or `make repro`) runs the stages from corpora to visualize in order.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
# In the order of `exmcr --help`.
for module in (
    stages,
    compare,
    sweep,
    ablate,
    growth,
    downstream,
    export,
    import_bank,
    weights,
    verify,
    results,
    search,
):
    module.register(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns the exit status: 0; 1 if a check failed; 2 for wrong input, which is one message on
    stderr and never a traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        app(arguments, prog_name="exmcr")
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, BadItem) as error:
        message = str(error)
    except ModuleNotFoundError as error:
        name = (error.name or "exmcr").partition(".")[0]
        if name == "exmcr":
            raise
        message = f"the package {name} is missing; it comes with an extra of exmcr: see the README"
    print(f"exmcr {arguments[0]}: {message}", file=sys.stderr)
    return 2


def run() -> None:
    """The console script `exmcr`."""
    status = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has gone; the flush at exit would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
