"""Figures of raw items: how many there are, what they look like, what was found for them, and where a sound is heard in a picture."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.plot_style import COLOUR, short, store


def counts(items: pd.DataFrame, path=None):
    """How many items of each modality come from where, and what they are for: one panel per modality."""
    table = items[items.modality != "text"].groupby(["modality", "source", "split"]).size().unstack(fill_value=0)
    table = table.reindex(columns=["train", "val", "test"], fill_value=0)
    modalities = list(dict.fromkeys(table.index.get_level_values(0)))
    heights = [len(table.loc[m]) + 1 for m in modalities]
    figure, axes = plt.subplots(len(modalities), 1, figsize=(8, 0.36 * sum(heights)), height_ratios=heights, squeeze=False, constrained_layout=True)
    for axis, modality in zip(axes[:, 0], modalities, strict=True):
        part, left = table.loc[modality], np.zeros(len(table.loc[modality]))
        for split, colour in zip(table.columns, ("#4c78a8", "#eeca3b", "#e45756"), strict=True):
            axis.barh(part.index, part[split], left=left, color=colour, label=split)
            left += part[split].to_numpy()
        axis.set_title(f"{modality}: {int(left.sum())} items", fontsize=10, loc="left")
        axis.invert_yaxis()
    axes[0, 0].legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)  # above the bars, however long they are
    return store(figure, path)


def item(axis, row, raw) -> None:
    """Draw one raw item: picture, waveform, cloud or words."""
    if row.modality == "image":
        axis.imshow(raw)
    elif row.modality == "audio":
        seconds = np.arange(len(raw.samples)) / raw.rate
        step = max(1, len(seconds) // 2000)
        axis.plot(seconds[::step], raw.samples[::step], color=COLOUR["audio"], lw=0.5)
        axis.set_ylim(-1, 1)
    elif row.modality == "points":
        from exmcr.spaces.mini.views import render

        axis.imshow(render(raw)[0])
    else:
        axis.text(0.5, 0.5, textwrap.fill(row.caption, 15), ha="center", va="center", fontsize=9)
    axis.set(xticks=[], yticks=[])


def gallery(queries: list, answers: list[list], right: list[list[bool | None]] | None, load, title: str, path=None):
    """Queries (rows of the item table) on the left, their best answers to the right; green is right, red is wrong, grey cannot be told.

    With right=None the lines just show items."""
    width = 1 + max(len(a) for a in answers)
    figure, axes = plt.subplots(len(queries), width, figsize=(1.55 * width, 1.75 * len(queries)), squeeze=False, constrained_layout=True)
    for line, (query, found, good) in enumerate(zip(queries, answers, right or [[None] * len(a) for a in answers], strict=True)):
        item(axes[line][0], query, load(query))
        axes[line][0].set_title(short(query.caption), fontsize=8, fontweight="bold" if right else "normal")
        for place in range(1, width):
            axis = axes[line][place]
            if place > len(found):
                axis.set_visible(False)
                continue
            row = found[place - 1]
            item(axis, row, load(row))
            colour = {None: "#7f7f7f" if right else "black", True: "#2ca02c", False: "#d62728"}[good[place - 1]]
            if row.modality != "text":  # words are their own caption
                axis.set_title(short(row.caption), fontsize=8 if right is None else 7, color=colour)
            if right:
                for spine in axis.spines.values():
                    spine.set(visible=True, color=colour, lw=1.5)
    figure.suptitle(title)
    return store(figure, path)


def answers(lines: dict[str, pd.DataFrame], load, title: str, path=None):
    """One line per question: its words on the left, what was found to the right. lines: {question: rows of the item table with `score`}."""
    width = max(len(rows) for rows in lines.values())
    figure, axes = plt.subplots(len(lines), width, figsize=(1.55 * width, 1.85 * len(lines)), squeeze=False, constrained_layout=True)
    for line, (question, rows) in zip(axes, lines.items(), strict=True):
        for axis, row in zip(line, rows.itertuples(), strict=False):
            item(axis, row, load(row))
            axis.set_title(f"{short(row.caption, 20) if row.modality != 'text' else 'text'}\n{row.score:.2f}", fontsize=7)
        for axis in line[len(rows) :]:
            axis.set_visible(False)
        line[0].set_ylabel(textwrap.fill(question, 22), fontsize=8, fontweight="bold")
    figure.suptitle(title)
    return store(figure, path)


def turnable(rows: pd.DataFrame, load, title: str, most: int = 2000):
    """Clouds of points side by side, to be turned with the mouse: a plotly figure, at most `most` points of each."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    names = [f"{short(row.caption)}{f' ({row.score:.2f})' if 'score' in rows else ''}" for row in rows.itertuples()]
    figure = make_subplots(1, len(rows), specs=[[{"type": "scene"}] * len(rows)], subplot_titles=names, horizontal_spacing=0.01)
    for column, row in enumerate(rows.itertuples(), 1):
        cloud = load(row)
        cloud = cloud[np.linspace(0, len(cloud) - 1, min(most, len(cloud))).astype(int)]
        x, y, z = np.round(cloud, 4).T
        marker = {"size": 2, "color": z, "colorscale": "Viridis"}
        figure.add_trace(graph_objects.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, hoverinfo="skip"), 1, column)
    camera = {"up": {"x": 0, "y": 1, "z": 0}, "eye": {"x": 0.9, "y": 0.7, "z": 1.5}}  # y is up
    figure.update_scenes(aspectmode="data", camera=camera, xaxis_visible=False, yaxis_visible=False, zaxis_visible=False)
    figure.update_layout(title=title, showlegend=False, height=320, margin={"l": 0, "r": 0, "t": 70, "b": 0})
    return figure


def localisation(scenes: list, heats: dict[str, np.ndarray], path=None):
    """Where each method hears the sound: one line per scene, the picture first, then the heat maps (n, g, g) of a method each.

    White box: what sounds. Cross: the hottest place, green inside the box, red outside."""
    figure, axes = plt.subplots(len(scenes), 1 + len(heats), figsize=(2.1 * (1 + len(heats)), 2.15 * len(scenes)), squeeze=False, constrained_layout=True)
    for n, scene in enumerate(scenes):
        height, width = scene.image.shape[:2]
        for axis, name in zip(axes[n], [None, *heats], strict=True):
            axis.imshow(scene.image)
            axis.set(xticks=[], yticks=[])
            if name is None:
                axis.set_ylabel(short(scene.concept), fontsize=9, fontweight="bold")
            else:
                heat = heats[name][n]
                axis.imshow(heat, extent=(0, width, height, 0), cmap="inferno", alpha=0.6)
                row, column = np.unravel_index(heat.argmax(), heat.shape)
                x, y = (column + 0.5) / heat.shape[1], (row + 0.5) / heat.shape[0]
                hit = any(left <= x < right and top <= y < bottom for left, top, right, bottom in scene.boxes)
                axis.plot(x * width, y * height, "P", ms=9, color="#2ca02c" if hit else "#d62728", markeredgecolor="white")
            for left, top, right, bottom in scene.boxes:
                size = ((right - left) * width, (bottom - top) * height)
                colour = "black" if name is None else "white"
                axis.add_patch(plt.Rectangle((left * width, top * height), *size, fill=False, edgecolor=colour, lw=1.8))
            if n == 0:
                axis.set_title(name or "what sounds", fontsize=10)
    figure.suptitle("Which thing makes the sound? (box: the truth, cross: the hottest place)", fontsize=10)
    return store(figure, path)
