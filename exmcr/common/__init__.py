"""Helpers for every other folder. They import nothing from the rest of the package.

errors.py       ConfigError and BadItem
hashing.py      hashes of files, of source code, of names
files.py        atomic writes, notes that can be checked
processes.py    which process wrote a draft, cleaning up on SIGTERM
locks.py        one process at a time
names.py        splits, and names that may become folders
paths.py        the root of a project
vectors.py      rows of unit norm
checkpoints.py  weight files of others, read without executing anything in them
distributed.py  process groups started by torchrun
"""
