"""Answers to look at: the query as itself, answers with marks and ranks, players for sounds."""

import base64
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.common.errors import BadItem
from exmcr.figures.items import draw_item
from exmcr.figures.style import GRAY, RIGHT, WRONG, mark, short, store
from exmcr.figures.tasks import find_task
from exmcr.media import videos

if TYPE_CHECKING:
    from exmcr.evaluation.bench import Bench, MapsOfLeaves
    from exmcr.evaluation.tasks import Task

PREVIEW = 16_000  # Hz of the sound in a player
THUMBNAIL = 96  # pixels
SOUNDS = ("audio", "speech")

Line = tuple[Any, pd.DataFrame]  # a query (row of the item table) and its answers


def first_ranks(bench: "Bench", task: "Task", maps: "MapsOfLeaves") -> np.ndarray:
    """Rank, from 1, of the first right answer to each query of a task: int (n,)."""
    return np.array([ranks[0] for ranks in bench.ranks(task, maps)])


def examples(ranks: np.ndarray) -> dict[str, int]:
    """{"hit", "median", "miss": number of a query}: one whose first answer is right, the one in
    the middle, and the one whose first right answer comes last.

    ranks: of the first right answers. Without a hit, the best query takes its place.
    """
    order = np.argsort(ranks, kind="stable")
    hits = max(1, int((ranks == 1).sum()))
    middle, last = order[len(order) // 2], order[-1]
    return {"hit": int(order[hits // 2]), "median": int(middle), "miss": int(last)}


def answered(
    bench: "Bench", task: "Task", maps: "MapsOfLeaves", query: int, most: int = 5
) -> pd.DataFrame:
    """The best answers to one query of a task, as rows of the item table with rank, score and
    right; the first right answer stands at the end if it is not among them."""
    one = replace(
        task,
        queries=task.queries.iloc[[query]],
        positive=task.right([query]),
        seen=task.seen[[query]],
    )
    scores = bench.similarity(one, maps)[0]
    right = one.positive[0]
    order = np.lexsort((right, -scores))  # ties count against the method
    rank = np.empty(len(order), int)
    rank[order] = np.arange(1, len(order) + 1)
    shown = [int(number) for number in order[:most]]
    first = int(order[np.flatnonzero(right[order])[0]])
    if not right[shown].any():
        shown = [*shown[: most - 1], first]
    rows = task.gallery.iloc[shown]
    return rows.assign(rank=rank[shown], score=scores[shown], right=right[shown])


def lines_of(
    bench: "Bench", task: "Task", maps: "MapsOfLeaves", most: int = 5
) -> tuple[dict[str, Line], dict[str, str]]:
    """A hit, the median and a miss of a task, to be drawn by `ranked`.

    Returns {kind: (query, answers)} and {kind: a sentence with the rank of the first right answer};
    the sentence of the kind "all" is about all queries.
    """
    ranks = first_ranks(bench, task, maps)
    lines = {}
    said = {
        "all": f"{task.name}: the first answer is right for {(ranks == 1).mean():.0%} of "
        f"{len(ranks)} queries; median rank {np.median(ranks):.0f} of {len(task.gallery)}"
    }
    for kind, query in examples(ranks).items():
        row = task.queries.iloc[query]
        lines[kind] = (row, answered(bench, task, maps, query, most))
        better = int((ranks < ranks[query]).sum())
        said[kind] = (
            f"{kind}: “{row.caption}”, first right answer at rank {ranks[query]} of "
            f"{len(task.gallery)}; {better} of {len(ranks)} queries do better"
        )
    return lines, said


def show_task(bench: "Bench", name: str, maps: "MapsOfLeaves", notebook: str) -> dict[str, Line]:
    """Draw a hit, the median and a miss of a task, and print where their right answers stand.

    notebook: its number; the figure is figures/<notebook>_<from>_to_<to>.png. Returns the lines of
    `lines_of`, none if the run has no such task.
    """
    task = find_task(bench, name)
    if task is None:
        return {}
    lines, said = lines_of(bench, task, maps)
    print(*said.values(), sep="\n  ")
    path = bench.project.figures / f"{notebook}_{name.replace('->', '_to_')}.png"
    ranked(lines, bench.project.load_item, said["all"], path)
    return lines


def ranked(lines: dict[str, Line], load: Callable, title: str, path=None):
    """One line per query: the query as itself on the left, its answers with mark, rank and score.

    lines  {label: (query, answers)}; answers are rows of the item table with `score`, and
           optionally rank and right (True, False or None for unknown)
    load   row -> loaded item

    Raises ConfigError for a modality that is not registered.
    """
    width = 1 + max(len(rows) for _, rows in lines.values())
    size = (1.65 * width, 1.95 * len(lines) + 0.4)
    figure, axes = plt.subplots(
        len(lines), width, figsize=size, squeeze=False, constrained_layout=True
    )
    for line, (label, (query, rows)) in zip(axes, lines.items(), strict=True):
        _draw(line[0], query, load)
        line[0].set_title(f"{label}\n{short(_caption(query))}", fontsize=8, fontweight="bold")
        line[0].set_facecolor("#f0f0f0")
        for axis, row in zip(line[1:], rows.itertuples(), strict=False):
            _draw(axis, row, load)
            right = getattr(row, "right", None)
            right = None if right is None or pd.isna(right) else bool(right)
            color = {None: GRAY, True: RIGHT, False: WRONG}[right]
            place = f"rank {row.rank}, " if "rank" in rows else ""
            said = f"{mark(right)} {short(_caption(row), 20)}" if "right" in rows else _caption(row)
            axis.set_title(f"{short(said, 24)}\n{place}{row.score:.2f}", fontsize=7, color=color)
            for spine in axis.spines.values():
                spine.set(visible=True, color=color, lw=1.5)
        for axis in line[1 + len(rows) :]:
            axis.set_visible(False)
    figure.suptitle(title)
    return store(figure, path)


def _draw(axis, row, load: Callable) -> None:
    """The item, or its caption where it has no raw item (imported embeddings)."""
    raw = _loaded(row, load)
    if raw is None:
        axis.text(0.5, 0.5, short(_caption(row)), ha="center", va="center", fontsize=8)
        axis.set(xticks=[], yticks=[])
    else:
        draw_item(axis, row, raw)


def _loaded(row, load: Callable):
    """The raw item, None if it cannot be read."""
    try:
        raw = load(row)
    except (BadItem, OSError):
        return None
    if isinstance(raw, str) and row.modality != "text":  # it was imported without raw data
        return None
    return raw


def _caption(row) -> str:
    return str(row.caption or row.modality)


def players(rows: pd.DataFrame | Sequence, load: Callable):
    """Players (IPython HTML) for the sounds among rows of the item table, each below its caption,
    and below its rank or score if the rows have one. The sound is a preview at 16 kHz."""
    from IPython.display import HTML

    listed = rows.itertuples() if isinstance(rows, pd.DataFrame) else rows
    loaded = [(row, _loaded(row, load)) for row in listed if row.modality in SOUNDS]
    blocks = [
        f"<div>{html.escape(_described(row))}<br>{_player(raw)}</div>"
        for row, raw in loaded
        if raw is not None
    ]
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(blocks)}</div>')


def _described(row) -> str:
    right = getattr(row, "right", None)
    known = "" if right is None or pd.isna(right) else f"{mark(bool(right))} "
    rank = getattr(row, "rank", None)  # a method of pandas rows, unless it is a column
    place = f" (rank {rank})" if isinstance(rank, int | np.integer) else ""
    return f"{known}{row.caption}{place}"


def _player(sound) -> str:
    import soundfile
    import soxr

    samples, rate = np.asarray(sound.samples, np.float32), sound.rate
    if rate > PREVIEW:
        samples, rate = soxr.resample(samples, rate, PREVIEW), PREVIEW
    wav = io.BytesIO()
    soundfile.write(wav, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    data = base64.b64encode(wav.getvalue()).decode()
    return f'<audio controls preload="metadata" src="data:audio/wav;base64,{data}"></audio>'


def mixture_slider(steps: dict[str, tuple[pd.DataFrame, str]], load: Callable, prefix: str):
    """A plotly figure with a slider, one step per mixture of queries; it needs no kernel.

    steps   {label of the step: (rows of images with `score`, title)}
    prefix  what stands before the label, such as "share of the sound: "
    """
    from plotly import graph_objects

    drawn = {label: _pictures(rows, load) for label, (rows, _) in steps.items()}
    moves = [
        {
            "method": "relayout",
            "label": label,
            "args": [
                {
                    "images": drawn[label][0],
                    "annotations": drawn[label][1],
                    "title.text": title,
                }
            ],
        }
        for label, (_, title) in steps.items()
    ]
    first = next(iter(steps))
    most = max(len(rows) for rows, _ in steps.values())
    hidden = {"visible": False, "fixedrange": True}
    figure = graph_objects.Figure(graph_objects.Scatter(x=[0], y=[0], opacity=0))
    figure.update_layout(
        title={"text": steps[first][1]},
        images=drawn[first][0],
        annotations=drawn[first][1],
        xaxis=hidden | {"range": [0, most]},
        yaxis=hidden | {"range": [-0.35, 1]},
        sliders=[{"steps": moves, "active": 0, "currentvalue": {"prefix": prefix}}],
        template="plotly_white",
        height=360,
        margin={"l": 10, "r": 10, "t": 60, "b": 10},
    )
    return figure


def _pictures(rows: pd.DataFrame, load: Callable) -> tuple[list[dict], list[dict]]:
    """Images and captions of a line of answers, as plotly's layout takes them."""
    place = {"xref": "x", "yref": "y", "sizex": 0.9, "sizey": 1, "yanchor": "top"}
    images, notes = [], []
    for n, row in enumerate(rows.itertuples()):
        raw = _loaded(row, load)
        if raw is not None:  # it was not imported without raw data
            images.append(place | {"source": _thumbnail(raw), "x": n + 0.05, "y": 1})
        text = f"{html.escape(short(_caption(row), 18))}<br>{row.score:.2f}"
        notes.append({"x": n + 0.5, "y": -0.18, "text": text, "showarrow": False})
    return images, notes


def _thumbnail(picture) -> str:
    from PIL import Image

    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(videos.still(np.asarray(picture)))
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
