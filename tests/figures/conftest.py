"""Every test closes its figures. A modality that exists in a test only."""

import matplotlib.pyplot as plt
import pytest

from exmcr.media import MODALITIES, Modality


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


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
