"""params.yaml as typed models. Every mistake is reported at once, before any work starts.

values.py    types of single values, with their ranges
blocks.py    the blocks
params.py    all of them together
reading.py   `load` checks structure, types and ranges, and refuses unknown keys
editing.py   values changed in the text of the file, comments kept
names.py     `check_names` checks in addition that every name exists which a registry gives a
             meaning: corpora, spaces and their options, losses, methods and their settings
settings.py  the values of settings that only a registry knows: of methods, options of encoders

`check_names` imports these registries. Commands call it before they start a stage, so that the
stage itself imports only what it uses.
"""

from exmcr.config.blocks import AUTHORS_DEPTHS, Leaf
from exmcr.config.names import check_names
from exmcr.config.params import Params
from exmcr.config.reading import changed, check, load, parsed, read
from exmcr.config.values import CENTERS, TERMS

__all__ = [
    "AUTHORS_DEPTHS",
    "CENTERS",
    "TERMS",
    "Leaf",
    "Params",
    "changed",
    "check",
    "check_names",
    "load",
    "parsed",
    "read",
]
