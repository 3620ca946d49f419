"""Figures of raw items: how many there are, what they look like, and what a query retrieved.

Items are drawn as their modality is registered in exmcr.media.MODALITIES.
"""

import json
import textwrap
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.figures.style import (
    BLACK,
    BLUE,
    GRAY,
    ORANGE,
    RIGHT,
    SKY,
    WRONG,
    mark,
    modality_order,
    panels,
    short,
    store,
)
from exmcr.media import modality

if TYPE_CHECKING:
    from exmcr.project import Project

SPLIT_COLOR = {"train": SKY, "val": ORANGE, "test": BLUE}


def some_items(project: "Project", n: int):
    """n random items of each modality except text, one line per modality; those with a caption if
    there are enough.

    Returns the first three arguments of `gallery`. The draw is fixed. Raises ConfigError for a
    modality that is not registered.
    """
    items = project.items[project.items.modality != "text"]
    lines = []
    for name in modality_order(items.modality):
        part = items[items.modality == name]
        part = part[part.caption != ""] if (part.caption != "").sum() >= n else part
        lines.append(list(part.sample(min(n, len(part)), random_state=1).itertuples()))
    return [line[0] for line in lines], [line[1:] for line in lines], None


def unusable_files(project: "Project") -> pd.DataFrame:
    """The files that could not be used when the corpus was built: columns id, reason."""
    path = project.data / "skipped.json"
    found = json.loads(path.read_text()) if path.is_file() else []
    return pd.DataFrame(found, columns=["id", "reason"])


def counts(items: pd.DataFrame, path=None, most: int = 7):
    """Number of items per source and split, one panel per modality except text, largest sources
    first; beyond `most`, the smaller sources of a modality share a bar.

    items: the item table. Raises ConfigError for a modality that is not registered.
    """
    shown = items[items.modality != "text"]
    table = shown.groupby(["modality", "source", "split"]).size().unstack(fill_value=0)
    table = table.reindex(columns=list(SPLIT_COLOR), fill_value=0)
    parts = {name: _largest(table.loc[name], most) for name in modality_order(shown.modality)}
    height = 1.3 + 0.27 * max(map(len, parts.values()))
    figure, axes = panels(len(parts), len(parts), 4.2 * len(parts), height)
    for axis, (name, part) in zip(axes, parts.items(), strict=True):
        left = np.zeros(len(part))
        for split, color in SPLIT_COLOR.items():
            axis.barh(part.index, part[split], left=left, color=color, label=split)
            left += part[split].to_numpy()
        axis.set_title(f"{name}: {int(left.sum()):,} items", loc="left")
        axis.invert_yaxis()
        axis.locator_params(axis="x", nbins=5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return store(figure, path)


def _largest(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """The `most` rows with the greatest sums, greatest first, and one row for all others."""
    ordered = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    if len(ordered) <= most + 1:
        return ordered
    rest = ordered.iloc[most:]
    others = pd.DataFrame([rest.sum()], index=[f"{len(rest)} others"])
    return pd.concat([ordered.iloc[:most], others])


def draw_item(axis, row, raw) -> None:
    """Draw one item in a matplotlib axis, in the color of its modality; words as words.

    row: a row of the item table; raw: the loaded item, or words that stand for it. Raises
    ConfigError for a modality that is not registered.
    """
    how = modality("text" if isinstance(raw, str) else row.modality)
    axis.set_prop_cycle(color=[how.color])
    how.draw(axis, raw)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


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
    """Queries in the left column, the answers to each beside it: ✓ if right, ✗ if wrong, ? if
    unknown.

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
    colors = {None: GRAY if right else BLACK, True: RIGHT, False: WRONG}
    for line, query, found, good in zip(axes, queries, answers, known, strict=True):
        draw_item(line[0], query, load(query))
        weight = "bold" if right else "normal"
        line[0].set_title(short(query.caption), fontsize=8, fontweight=weight)
        for axis, row, truth in zip(line[1:], found, good, strict=False):
            raw, color = load(row), colors[truth]
            draw_item(axis, row, raw)
            caption = "" if isinstance(raw, str) else short(row.caption)  # a text shows itself
            text = f"{mark(truth)} {caption}".strip() if right else caption
            size = 8 if caption else 12  # a mark alone
            axis.set_title(text, fontsize=size, color=color)
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
    points drawn per cloud. Returns a plotly figure, empty if the rows have no raw data.
    """
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    rows = rows[[not isinstance(load(row), str) for row in rows.itertuples()]]
    if not len(rows):
        return graph_objects.Figure()

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
    for number, row in enumerate(rows.itertuples(), 1):
        extent = np.maximum(np.ptp(load(row), axis=0), 1e-9)
        # Not aspectmode "data", which moves the eye into flat shapes.
        ratio = dict(zip("xyz", (extent / extent.max()).tolist(), strict=True))
        figure.update_scenes(aspectmode="manual", aspectratio=ratio, row=1, col=number)
    figure.update_scenes(camera=camera, **hidden)
    margin = {"l": 0, "r": 0, "t": 70, "b": 0}
    figure.update_layout(title=title, showlegend=False, height=320, margin=margin)
    return figure
