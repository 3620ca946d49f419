"""The order of Debian versions, as `dpkg --compare-versions` has it."""

import itertools

import pytest

from exmcr.corpora.mini.fetching.versions import key

# Each line is in ascending order.
ASCENDING = [
    ["9.0", "10.0"],
    ["1.0~~", "1.0~", "1.0~rc1", "1.0", "1.0a", "1.0+dfsg", "1.0.1"],
    ["1.0-1", "1.0-1+b1", "1.0-1.1", "1.0-2", "1.0-10"],
    ["2:0.9", "10:0.1"],
    ["1.16.9-1", "1:1.16.9-1", "1:1.18.0-1"],
    ["1.2.2+dfsg1-6", "1.2.2+dfsg1-10", "1.2.2+dfsg2-1"],
    ["3.2.2~repack-8", "3.2.2-1"],
    ["2.042-0", "2.042-0+deb12u1", "2.042-1"],
    ["1-1-1", "1-1-2", "1-2-1"],
]


@pytest.mark.parametrize("versions", ASCENDING, ids=lambda versions: versions[0])
def test_versions_ascend(versions):
    for low, high in itertools.combinations(versions, 2):
        assert key(low) < key(high)


@pytest.mark.parametrize(
    "one, other", [("1.0", "1.0-0"), ("1.0", "0:1.0"), ("1.01", "1.1"), ("1.", "1.0")]
)
def test_versions_are_equal(one, other):
    assert key(one) == key(other)
