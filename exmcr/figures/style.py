"""What all figures share: colors, the order of modalities, and how a figure is stored.

A figure function returns the matplotlib figure and, with `path`, stores it as PNG.
"""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex

from exmcr.media import MODALITIES, modality

# Bars appear in this order. The frozen spaces share a color: only one of them has a given task.
METHOD_COLOR = {
    "exmcr": "#d62728",
    "hop": "#4c78a8",
    "procrustes": "#72b7b2",
    "lstsq": "#9ecae9",
    "direct": "#bab0ac",
    "leaf": "#8c6d31",
    "base": "#8c6d31",
}
FROZEN = ("base", "leaf")  # rows of the results table that are frozen spaces, not methods
GRAY = "#7f7f7f"
RIGHT, WRONG = "#2ca02c", "#d62728"
SEEN_COLOR = {True: "#54a24b", False: "#e45756"}  # whether a concept occurs in training

plt.rcParams.update(
    {
        "figure.dpi": 100,
        "savefig.dpi": 120,
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def store(figure, path: str | Path | None):
    """Write a figure to `path`, if one is given, and return it. The folder is made if needed."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, bbox_inches="tight")
    return figure


def panels(count: int, columns: int, width: float, height: float, **options):
    """A figure with `count` axes, `columns` in a row; `height` inches per row, `width` in all.

    options: arguments of plt.subplots. Returns the figure and the axes in reading order.
    """
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width, height * rows),
        squeeze=False,
        constrained_layout=True,
        **options,
    )
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def short(text: str, most: int = 22) -> str:
    """A text cut to `most` characters; the last one is an ellipsis if anything was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def modality_order(names: Iterable[str]) -> list[str]:
    """The distinct names, in the order of exmcr.media.MODALITIES.

    Raises ConfigError for a name that is not registered, so that no figure leaves it out.
    """
    given = set(names)
    for name in sorted(given):
        modality(name)
    return [name for name in MODALITIES if name in given]


def method_colors(names: Iterable[str]) -> dict[str, str]:
    """{method: color}, in the order of METHOD_COLOR; other methods follow, colored in turn."""
    given = list(dict.fromkeys(names))
    others = [name for name in given if name not in METHOD_COLOR]
    spare = [to_hex(color) for color in plt.get_cmap("Dark2")(range(8))]
    found = {name: color for name, color in METHOD_COLOR.items() if name in given}
    return found | {name: spare[n % len(spare)] for n, name in enumerate(others)}
