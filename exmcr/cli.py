"""The command `exmcr`: one subcommand per line of COMMANDS, each a module with `add_arguments(parser)` and `run(arguments)`."""

import argparse
import sys
from importlib import import_module

from exmcr.errors import BadItem, ConfigError

COMMANDS = {
    "extract": ("exmcr.stages", "encode every item into banks; under torchrun by all processes"),
    "results": ("exmcr.report", "print the results table as Markdown"),
    "train": ("exmcr.stages", "train the projectors; under torchrun by all processes"),
    "weights": ("exmcr.weights", "list and fetch the weights of the real spaces"),
}


def main(argv: list[str] | None = None) -> int:
    """Parse and run; wrong input is one line on stderr and exit status 2, never a traceback."""
    parser = argparse.ArgumentParser(prog="exmcr", description=__doc__.split(":")[0] + ".")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, purpose) in COMMANDS.items():
        import_module(module).add_arguments(commands.add_parser(name, help=purpose, description=purpose))
    arguments = parser.parse_args(argv)
    try:
        return import_module(COMMANDS[arguments.command][0]).run(arguments)
    except (ConfigError, BadItem) as error:
        print(f"exmcr {arguments.command}: {error}", file=sys.stderr)
        return 2
