"""What all figures share: colors, the order of modalities, and how a figure is stored.

A figure function returns the matplotlib figure and, with `path`, stores it as PNG.
"""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.colors import to_hex

from exmcr.media import MODALITIES, modality

# The palette of Okabe and Ito, which color-blind readers can tell apart.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILLION, SKY, YELLOW, BLACK = "#D55E00", "#56B4E9", "#F0E442", "#000000"
GRAY = "#7f7f7f"

# Bars appear in this order. The frozen spaces share a color: only one of them has a given task.
METHOD_COLOR = {
    "exmcr": VERMILLION,
    "hop": BLUE,
    "procrustes": GREEN,
    "lstsq": SKY,
    "direct": GRAY,
    "leaf": BLACK,
    "base": BLACK,
}
FROZEN = ("base", "leaf")  # rows of the results table that are frozen spaces, not methods
RIGHT, WRONG = GREEN, VERMILLION  # never without the mark of `mark`
SEEN_COLOR = {True: BLUE, False: ORANGE}  # whether a concept occurs in training

plt.rcParams.update(
    {
        "figure.dpi": 100,
        "savefig.dpi": 120,
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(
            color=[BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK, GRAY]
        ),
    }
)


def store(figure, path: str | Path | None):
    """Write a figure to `path`, if one is given, and return it. The folder is made if needed.

    A figure that is written keeps its layout: a constrained one would be computed four times, twice
    when it is written and twice when a notebook shows it.
    """
    if path:
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine("none")
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


def mark(right: bool | None) -> str:
    """What stands before an answer, so that color is not needed: ✓ right, ✗ wrong, ? unknown."""
    return {True: "✓", False: "✗", None: "?"}[right]


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
    spare = [ORANGE, PURPLE, YELLOW, *(to_hex(c) for c in plt.get_cmap("Dark2")(range(8)))]
    found = {name: color for name, color in METHOD_COLOR.items() if name in given}
    return found | {name: spare[n % len(spare)] for n, name in enumerate(others)}
