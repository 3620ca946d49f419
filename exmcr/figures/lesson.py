"""What a notebook needs to teach: checked answers, its cost, heat maps, sliders."""

import math
import resource
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from exmcr.figures.style import store

if TYPE_CHECKING:
    from exmcr.project import Project

# {notebook: (CPU seconds, gigabytes)} on the toy project whose earlier stages are done, measured on
# a server core. The first notebook that is opened also makes the spaces: see `header`.
COST: dict[str, tuple[float, float]] = {
    "00_spaces": (7, 0.8),
    "01_extract": (4, 0.7),
    "02_pair": (7, 0.8),
    "03_train": (7, 0.9),
    "04_evaluate": (11, 0.8),
    "05_visualize": (8, 0.8),
    "06_search": (9, 0.8),
}
FIRST = 20  # further CPU seconds where the toy spaces and banks have to be made


def header(name: str, project: "Project") -> None:
    """Print what a notebook costs, and the folder of the project that it works on."""
    seconds, memory = COST[name]
    print(f"project: {project.root} (corpora: {project.params.corpora}, spaces: ", end="")
    print(f"{project.params.spaces})")
    if project.params.corpora == "toy":
        print(f"needs about {seconds:.0f} CPU seconds and {memory:.1f} GB of memory;", end=" ")
        print(f"if its spaces are still to be made, {FIRST} seconds more")


def footer() -> None:
    """Print what this kernel has cost up to here: CPU time and peak memory."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"took {time.process_time():.0f} CPU seconds and {usage.ru_maxrss / 1e6:.1f} GB at most")


def check(
    answer: Any,
    right: Any | Callable[[Any], bool],
    hint: str,
    why: str = "",
    within: float = 1e-3,
) -> None:
    """Print whether an answer to an exercise is right; nothing is raised.

    answer  None: not answered yet
    right   the answer, or a function answer -> bool. Numbers are equal if they differ by at most
            `within`, in their own unit; text is compared without case
    hint    printed if the answer is wrong
    why     printed if it is right
    """
    if answer is None:
        print("○ Not answered yet: put your answer in the place of None and run the cell again.")
        return
    try:
        good = right(answer) if callable(right) else _equal(answer, right, within)
    except (TypeError, ValueError, IndexError, KeyError, RuntimeError):
        good = False  # of another type or shape than the answer
    if good:
        print(f"✓ Right. {why}".strip())
    else:
        print(f"✗ Not yet. {hint}")


def _equal(answer: Any, right: Any, within: float) -> bool:
    if isinstance(right, str):
        return str(answer).strip().casefold() == right.casefold()
    if isinstance(right, set | frozenset):
        return set(answer) == right
    if isinstance(right, bool):
        return answer is right
    if isinstance(right, int | float):
        return math.isclose(float(answer), right, rel_tol=0, abs_tol=within)
    given, wanted = np.asarray(answer), np.asarray(right)
    return given.shape == wanted.shape and bool(np.allclose(given, wanted, rtol=0, atol=within))


def heat(
    matrix,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    *,
    axis=None,
    form: str = ".2f",
    bold: bool = True,
    path=None,
):
    """A matrix as a heat map, with the number in every cell and, if `bold`, the greatest of a row
    in bold.

    matrix: (len(rows), len(columns)), array or tensor. axis: draw there; None makes a figure.
    """
    values = np.asarray(matrix, dtype=float)
    if axis is None:
        size = (2.2 + 0.85 * len(columns), 1.1 + 0.5 * len(rows))
        axis = plt.subplots(figsize=size, constrained_layout=True)[1]
    axis.imshow(values, cmap="cividis", aspect="auto")
    middle = (values.max() + values.min()) / 2
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            weight = "bold" if bold and value == line.max() else "normal"
            color = "black" if value > middle else "white"
            text = format(value, form)
            axis.text(j, i, text, ha="center", va="center", color=color, fontweight=weight)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title(title)
    return store(axis.figure, path)


def slider(
    frames: dict[str, tuple[list, str]], prefix: str, start: int = 0, **layout
):  # -> plotly figure
    """A plotly figure with a slider that needs no kernel, so it also moves in an executed copy.

    frames  {label on the slider: (traces, title)}, the same number of traces in each
    prefix  what stands before the label, such as "τ = "
    start   number of the frame that is shown first
    layout  further arguments of plotly's layout
    """
    from plotly import graph_objects

    drawn = [
        graph_objects.Frame(data=traces, name=label, layout={"title": {"text": title}})
        for label, (traces, title) in frames.items()
    ]
    mode = {"mode": "immediate", "frame": {"duration": 0}, "transition": {"duration": 0}}
    steps = [{"args": [[f.name], mode], "label": f.name, "method": "animate"} for f in drawn]
    bar = {"steps": steps, "active": start, "currentvalue": {"prefix": prefix}}
    settings = {"template": "plotly_white", "sliders": [bar], "title": drawn[start].layout.title}
    return graph_objects.Figure(drawn[start].data, settings | layout, drawn)
