"""`python -m exmcr` is the command `exmcr`."""

from exmcr.commands.main import run

run()
