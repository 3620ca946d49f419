"""The command `exmcr`: one subcommand per line of COMMANDS, each a module with `add_arguments(parser)` and `run(arguments)`."""

import argparse
import sys
from importlib import import_module

from exmcr.errors import BadItem, ConfigError

COMMANDS = {
    "check": ("exmcr.check", "compare the authors' model with the numbers that they published"),
    "compare": ("exmcr.compare", "fit and score every method of the comparison and print it as Markdown"),
    "export": ("exmcr.export", "write what a project trained as one model, or as the authors' files"),
    "extract": ("exmcr.run_stage", "encode every item into banks; under torchrun by all processes"),
    "import-bank": ("exmcr.import_bank", "make a bank of embeddings from elsewhere"),
    "results": ("exmcr.report", "print the results table as Markdown"),
    "train": ("exmcr.run_stage", "train the projectors; under torchrun by all processes"),
    "weights": ("exmcr.weights", "list and fetch the weights of the real spaces"),
}


def main(argv: list[str] | None = None) -> int:
    """Parse and run; wrong input is one line on stderr and exit status 2, never a traceback."""
    parser = argparse.ArgumentParser(prog="exmcr", description=__doc__.split(":")[0] + ".")
    commands = parser.add_subparsers(dest="command", required=True)
    argv = sys.argv[1:] if argv is None else argv
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        if name in argv[:1]:  # only what is asked for is imported: torch alone takes seconds
            import_module(module).add_arguments(command)
    arguments = parser.parse_args(argv)
    try:
        return import_module(COMMANDS[arguments.command][0]).run(arguments)
    except (ConfigError, BadItem) as error:
        print(f"exmcr {arguments.command}: {error}", file=sys.stderr)
        return 2
