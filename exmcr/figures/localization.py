"""Figure of sound localization (experiment `downstream`)."""

import matplotlib.pyplot as plt
import numpy as np

from exmcr.figures.style import RIGHT, WRONG, panels, short, store


def localization(scenes: list, heats: dict[str, np.ndarray], path=None):
    """One line per scene: the image, then the heat map of each method over it.

    scenes  n scenes (exmcr.evaluation.compositions.Scene)
    heats   {method: (n, g, g)}, larger where the sound is more likely to come from

    A box marks what sounds. A plus in a box, or a cross outside, marks the hottest place.
    """
    columns = 1 + len(heats)
    figure, axes = panels(len(scenes) * columns, columns, 2.1 * columns, 2.15)
    for n, scene in enumerate(scenes):
        line = axes[n * columns : (n + 1) * columns]
        for axis, name in zip(line, [None, *heats], strict=True):
            axis.imshow(scene.image)
            axis.set(xticks=[], yticks=[])
            if name is not None:
                _heat(axis, heats[name][n], scene)
            _boxes(axis, scene, color="black" if name is None else "white")
            if n == 0:
                axis.set_title(name or "what sounds", fontsize=10)
        line[0].set_ylabel(short(scene.concept), fontsize=9, fontweight="bold")
    title = "Where does the sound come from? Box: the truth; plus: a hit; cross: a miss"
    figure.suptitle(title, fontsize=10)
    return store(figure, path)


def _heat(axis, heat: np.ndarray, scene) -> None:
    height, width = scene.image.shape[:2]
    axis.imshow(heat, extent=(0, width, height, 0), cmap="inferno", alpha=0.6)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    x, y = (column + 0.5) / heat.shape[1], (row + 0.5) / heat.shape[0]
    hit = any(left <= x < right and top <= y < bottom for left, top, right, bottom in scene.boxes)
    marker, color = ("P", RIGHT) if hit else ("X", WRONG)
    axis.plot(x * width, y * height, marker, ms=9, color=color, markeredgecolor="white")


def _boxes(axis, scene, color: str) -> None:
    height, width = scene.image.shape[:2]
    for left, top, right, bottom in scene.boxes:
        corner = (left * width, top * height)
        size = ((right - left) * width, (bottom - top) * height)
        axis.add_patch(plt.Rectangle(corner, *size, fill=False, edgecolor=color, lw=1.8))
