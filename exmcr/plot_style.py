"""What all figures share: colours, how they are stored. The figures are in plot_items, plot_spaces and plot_scores, one function
each; each returns the matplotlib figure and, with `path`, stores it as PNG."""

from pathlib import Path

import matplotlib.pyplot as plt

COLOUR = {"text": "#4c78a8", "image": "#f58518", "audio": "#54a24b", "points": "#b279a2"}
plt.rcParams.update({"figure.dpi": 100, "savefig.dpi": 120, "font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def store(figure, path: Path | None):
    """Write a figure to `path`, if there is one, and return it."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, bbox_inches="tight")
    return figure


def short(text: str, most: int = 22) -> str:
    """A text cut to `most` characters, the last an ellipsis where something is cut."""
    return text if len(text) <= most else text[: most - 1] + "…"
