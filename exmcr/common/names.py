"""Names that become files and folders: splits, spaces, modalities, leaves."""

import re

from exmcr.common.errors import ConfigError

SPLITS = ("train", "val", "test")
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


def check_name(what: str, name: str) -> str:
    """`name`, if it can be the name of a folder and nothing else. `what` it names, for the message.

    Raises ConfigError for a path, "..", a hidden name, blanks and other characters.
    """
    if not isinstance(name, str) or not SAFE.fullmatch(name) or name.endswith("."):
        raise ConfigError(
            f"{what} {name!r} cannot be the name of a folder: use letters, digits and . _ + -, "
            "at most 100, with a letter or digit first"
        )
    return name


def check_split(split: str) -> str:
    """`split`, if it is one of SPLITS. Raises ConfigError for another."""
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    return split
