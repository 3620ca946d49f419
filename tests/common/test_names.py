"""Only plain names become folders."""

import pytest

from exmcr.common.errors import ConfigError
from exmcr.common.names import SPLITS, check_name, check_split

SAFE = ["audio", "a", "A1", "mini-image-text", "clip.v2", "x_y", "630k-fusion", "exmcr+", "a" * 100]
UNSAFE = [
    "",
    ".",
    "..",
    ".a",
    "-a",
    "_a",
    "a/b",
    "/",
    "/etc",
    "../a",
    "a/..",
    "a\\b",
    "C:\\a",
    "a b",
]
UNSAFE += [
    " a",
    "a ",
    "a\n",
    "a\0b",
    "a.",
    "\u00fc",
    "a*",
    "~",
    "~root",
    "$HOME",
    "a" * 101,
    None,
    3,
]


@pytest.mark.parametrize("name", SAFE)
def test_a_plain_name_passes(name):
    assert check_name("leaf", name) == name


@pytest.mark.parametrize("name", UNSAFE)
def test_anything_else_is_refused_in_one_line(name):
    with pytest.raises(ConfigError, match="^leaf .* cannot be the name of a folder") as error:
        check_name("leaf", name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["Train", "../../x", "", "seen", None])
def test_there_are_three_splits(name):
    assert [check_split(split) for split in SPLITS] == ["train", "val", "test"]
    with pytest.raises(ConfigError, match="unknown split .*; known: train, val, test"):
        check_split(name)
