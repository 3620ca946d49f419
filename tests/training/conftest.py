"""Runs of these tests are a few steps long, and interrupted between them."""

import pytest

from exmcr.training import loop


@pytest.fixture(autouse=True)
def a_checkpoint_after_every_epoch(monkeypatch):
    monkeypatch.setattr(loop, "EVERY", 1)
