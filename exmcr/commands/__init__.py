"""The command `exmcr`: one file per command, or per group of similar commands.

main.py puts them together. A command imports what it runs inside its function, so that `--help`
does not load torch. `python -m exmcr` is the same command.
"""
