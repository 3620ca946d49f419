"""Figures of the experiments."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from exmcr.common.errors import ConfigError
from exmcr.figures import comparison
from exmcr.figures.localization import localization
from exmcr.figures.style import RIGHT, WRONG
from exmcr.media import MODALITIES


def test_a_leaf_has_the_color_of_its_modality(smell):
    leaves = ["sound", "odor", "second"]
    of = {"sound": "audio", "odor": "smell", "second": "audio"}
    found = comparison.leaf_colors(leaves, of)
    assert found == {"sound": MODALITIES["audio"].color, "odor": "#123456", "second": "C2"}, (
        "no color twice"
    )
    assert comparison.leaf_colors(leaves) == {"sound": "C0", "odor": "C1", "second": "C2"}
    assert comparison.leaf_colors(leaves, {"odor": "smell"}) == {
        "sound": "C0",
        "odor": "#123456",
        "second": "C2",
    }
    with pytest.raises(ConfigError, match="unknown modality 'taste'"):
        comparison.leaf_colors(leaves, {"odor": "taste"})


def test_emergent_tasks_are_those_that_no_frozen_space_has_scores_on():
    rows = [
        ("text->audio", "leaf"),
        ("points->image", "leaf"),
        ("audio->smell", "hop"),
        ("audio->image", "hop"),
        ("text->audio", "hop"),
    ]
    table = pd.DataFrame(rows, columns=["task", "method"])
    assert comparison.emergent_tasks(table) == ["audio->image", "points->image", "audio->smell"], (
        "points->image is emergent by definition"
    )


def test_the_ablation_draws_a_line_per_leaf_in_its_color(smell):
    rows = [
        ("tau1", value, leaf, seed, value == "2", seed / 10)
        for value in "123"
        for leaf in ("a", "b")
        for seed in (1, 3)
    ]
    table = pd.DataFrame(rows, columns=["factor", "value", "leaf", "seed", "default", "map"])
    figure = comparison.ablation(table, 150, {"a": "smell", "b": "audio"})
    axis = figure.axes[0]
    bars = {part.get_label(): part.lines[0] for part in axis.containers}
    assert {label: line.get_color() for label, line in bars.items()} == {
        "a leaf": "#123456",
        "b leaf": MODALITIES["audio"].color,
    }
    np.testing.assert_allclose(bars["a leaf"].get_ydata().astype(float), 20)
    rings = [line for line in axis.lines if line.get_markerfacecolor() == "none"]
    assert [len(ring.get_xdata()) for ring in rings] == [1, 1]
    assert "at most 150 steps" in figure.get_suptitle() and axis.get_ylabel() == "mean mAP (%)"


def test_the_cross_says_whether_the_hottest_place_is_in_the_box():
    scene = SimpleNamespace(
        image=np.zeros((8, 8, 3), np.uint8), boxes=[(0.5, 0.0, 1.0, 0.5)], concept="dog"
    )
    hit, miss = np.zeros((1, 4, 4)), np.zeros((1, 4, 4))
    hit[0, 1, 2] = miss[0, 2, 2] = 1
    image, *others = localization([scene], {"hit": hit, "miss": miss}).axes
    assert image.get_ylabel() == "dog" and not image.lines
    assert [axis.get_title() for axis in others] == ["hit", "miss"]
    crosses = [axis.lines[0] for axis in others]
    assert [to_hex(cross.get_color()) for cross in crosses] == [to_hex(RIGHT), to_hex(WRONG)]
    assert [cross.get_marker() for cross in crosses] == ["P", "X"], "color alone is not enough"
    assert [cross.get_xydata().tolist() for cross in crosses] == [[[5, 3]], [[5, 5]]]
    assert all(len(axis.patches) == 1 for axis in (image, *others))
