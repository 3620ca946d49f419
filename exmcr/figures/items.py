"""Figures of raw items: how many there are, what they look like, and what a query retrieved.

Items are drawn as their modality is registered in exmcr.media.MODALITIES.
"""

import json
import textwrap
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.figures.style import GRAY, RIGHT, WRONG, modality_order, short, store
from exmcr.media import modality

if TYPE_CHECKING:
    from exmcr.project import Project

SPLIT_COLOR = {"train": "#4c78a8", "val": "#eeca3b", "test": "#e45756"}


def some_items(project: "Project", n: int):
    """n random items of each modality except text, one line per modality.

    Returns the first three arguments of `gallery`. The draw is fixed. Raises ConfigError for a
    modality that is not registered.
    """
    items = project.items[project.items.modality != "text"]
    lines = []
    for name in modality_order(items.modality):
        part = items[items.modality == name]
        lines.append(list(part.sample(min(n, len(part)), random_state=1).itertuples()))
    return [line[0] for line in lines], [line[1:] for line in lines], None


def unusable_files(project: "Project") -> pd.DataFrame:
    """The files that could not be used when the corpus was built: columns id, reason."""
    path = project.data / "skipped.json"
    found = json.loads(path.read_text()) if path.is_file() else []
    return pd.DataFrame(found, columns=["id", "reason"])


def counts(items: pd.DataFrame, path=None):
    """Number of items per source and split, one panel per modality except text.

    items: the item table. Raises ConfigError for a modality that is not registered.
    """
    shown = items[items.modality != "text"]
    table = shown.groupby(["modality", "source", "split"]).size().unstack(fill_value=0)
    table = table.reindex(columns=list(SPLIT_COLOR), fill_value=0)
    modalities = modality_order(shown.modality)
    heights = [len(table.loc[name]) + 1 for name in modalities]
    figure, axes = plt.subplots(
        len(modalities),
        1,
        figsize=(8, 0.36 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        constrained_layout=True,
    )
    for axis, name in zip(axes[:, 0], modalities, strict=True):
        part = table.loc[name]
        left = np.zeros(len(part))
        for split, color in SPLIT_COLOR.items():
            axis.barh(part.index, part[split], left=left, color=color, label=split)
            left += part[split].to_numpy()
        axis.set_title(f"{name}: {int(left.sum())} items", fontsize=10, loc="left")
        axis.invert_yaxis()
    # Beside the title, above the longest bar.
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0}
    axes[0, 0].legend(frameon=False, ncols=3, **place)
    return store(figure, path)


def draw_item(axis, row, raw) -> None:
    """Draw one item in a matplotlib axis, in the color of its modality.

    row: a row of the item table; raw: the loaded item. Raises ConfigError for a modality that is
    not registered.
    """
    how = modality(row.modality)
    axis.set_prop_cycle(color=[how.color])
    how.draw(axis, raw)
    axis.set(xticks=[], yticks=[])


def as_gallery(queries: pd.DataFrame, found: list[pd.DataFrame], right=None):
    """Rows of the item table as the first three arguments of `gallery`.

    queries: one row per query; found: for each query its answers, best first; right: for each
    query a list of bools. By default an answer is right if it has the query's concept, and None if
    one of the two has none.
    """
    asked = list(queries.itertuples(index=False))
    answers = [list(rows.itertuples(index=False)) for rows in found]
    if right is None:
        right = [
            [a.concept == query.concept if a.concept and query.concept else None for a in line]
            for query, line in zip(asked, answers, strict=True)
        ]
    return asked, answers, right


def gallery(
    queries: list,
    answers: list[list],
    right: list[list[bool | None]] | None,
    load,
    title: str,
    path=None,
):
    """Queries in the left column, the answers to each beside it: green if right, red if wrong, gray
    if unknown.

    queries, answers  rows of the item table
    right             per query one value per answer; None for lines that only show items
    load              row -> loaded item

    Raises ConfigError for a modality that is not registered.
    """
    width = 1 + max(map(len, answers))
    figure, axes = plt.subplots(
        len(queries),
        width,
        figsize=(1.55 * width, 1.75 * len(queries)),
        squeeze=False,
        constrained_layout=True,
    )
    known = right or [[None] * len(line) for line in answers]
    colors = {None: GRAY if right else "black", True: RIGHT, False: WRONG}
    for line, query, found, good in zip(axes, queries, answers, known, strict=True):
        draw_item(line[0], query, load(query))
        weight = "bold" if right else "normal"
        line[0].set_title(short(query.caption), fontsize=8, fontweight=weight)
        for axis, row, truth in zip(line[1:], found, good, strict=False):
            raw, color = load(row), colors[truth]
            draw_item(axis, row, raw)
            if not isinstance(raw, str):  # a text is its own caption
                axis.set_title(short(row.caption), fontsize=7 if right else 8, color=color)
            if right:
                for spine in axis.spines.values():
                    spine.set(visible=True, color=color, lw=1.5)
        for axis in line[1 + len(found) :]:
            axis.set_visible(False)
    figure.suptitle(title)
    return store(figure, path)


def answers(lines: dict[str, pd.DataFrame], load, title: str, path=None):
    """One line of retrieved items per query, each with its score; the query in words on the left.

    lines  {query: rows of the item table with a column `score`}
    load   row -> loaded item

    Raises ConfigError for a modality that is not registered.
    """
    width = max(map(len, lines.values()))
    figure, axes = plt.subplots(
        len(lines),
        width,
        figsize=(1.55 * width, 1.85 * len(lines)),
        squeeze=False,
        constrained_layout=True,
    )
    for line, (query, rows) in zip(axes, lines.items(), strict=True):
        for axis, row in zip(line, rows.itertuples(), strict=False):
            raw = load(row)
            draw_item(axis, row, raw)
            # A text is its own caption.
            caption = row.modality if isinstance(raw, str) else short(row.caption, 20)
            axis.set_title(f"{caption}\n{row.score:.2f}", fontsize=7)
        for axis in line[len(rows) :]:
            axis.set_visible(False)
        line[0].set_ylabel(textwrap.fill(query, 22), fontsize=8, fontweight="bold")
    figure.suptitle(title)
    return store(figure, path)


def turnable(rows: pd.DataFrame, load, title: str, most: int = 2000):
    """Point clouds side by side that can be rotated with the mouse; y points up.

    rows: of the item table, with or without a column `score`; load: row -> float (n, 3); most:
    points drawn per cloud. Returns a plotly figure.
    """
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    names = [
        f"{short(row.caption)} ({row.score:.2f})" if "score" in rows else short(row.caption)
        for row in rows.itertuples()
    ]
    figure = make_subplots(
        1,
        len(rows),
        specs=[[{"type": "scene"}] * len(rows)],
        subplot_titles=names,
        horizontal_spacing=0.01,
    )
    for column, row in enumerate(rows.itertuples(), 1):
        cloud = load(row)
        cloud = cloud[np.linspace(0, len(cloud) - 1, min(most, len(cloud))).astype(int)]
        x, y, z = np.round(cloud, 4).T
        marker = {"size": 2, "color": z, "colorscale": "Viridis"}
        drawn = graph_objects.Scatter3d(
            x=x, y=y, z=z, mode="markers", marker=marker, hoverinfo="skip"
        )
        figure.add_trace(drawn, 1, column)
    camera = {"up": {"x": 0, "y": 1, "z": 0}, "eye": {"x": 0.9, "y": 0.7, "z": 1.5}}
    hidden = {f"{name}axis_visible": False for name in "xyz"}
    figure.update_scenes(aspectmode="data", camera=camera, **hidden)
    margin = {"l": 0, "r": 0, "t": 70, "b": 0}
    figure.update_layout(title=title, showlegend=False, height=320, margin=margin)
    return figure
