"""The command `exmcr`: one file per command, or per group of alike commands.

main.py  puts them together; `python -m exmcr` runs it where `exmcr` is not on the path.
"""
