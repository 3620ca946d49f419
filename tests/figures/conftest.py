"""A modality that exists in a test only."""

import pytest

from exmcr.media import MODALITIES, Modality


@pytest.fixture
def smell(monkeypatch):
    """Registers the modality "smell"; returns the list of raw items that were drawn."""
    drawn = []

    def draw(axis, raw):
        drawn.append(raw)
        axis.plot([0, 1], [0, 1])

    monkeypatch.setitem(
        MODALITIES, "smell", Modality(load=float, draw=draw, color="#123456", marker="*")
    )
    return drawn
