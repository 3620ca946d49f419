"""`exmcr`: all commands, and the one place where an error becomes one line."""

import sys
from collections.abc import Sequence

import typer

from exmcr.commands import (
    ablate,
    banks,
    compare,
    downstream,
    export,
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
for module in (
    stages,
    compare,
    sweep,
    ablate,
    downstream,
    export,
    banks,
    weights,
    verify,
    results,
    search,
):
    module.register(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status: 0; 1 if a check failed; 2 for wrong input,
    which is one line on stderr and never a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        app(arguments, prog_name="exmcr")
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, BadItem) as error:
        print(f"exmcr {arguments[0]}: {error}", file=sys.stderr)
        return 2
    return 0


def run() -> None:
    """The console script `exmcr`."""
    sys.exit(main())
