"""What the tests of spaces share."""

import pytest


@pytest.fixture(scope="module")
def patch():
    """`monkeypatch` for the length of a module."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
