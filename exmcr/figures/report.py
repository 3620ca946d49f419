"""A static page about a run, reports/index.html: results, figures, galleries that play and turn.

It opens from the disk, without a server and without a network.
"""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from exmcr.common.files import write_text
from exmcr.evaluation import tables
from exmcr.evaluation.metrics import METRICS
from exmcr.figures.cards import STYLE, card, cards
from exmcr.figures.items import turnable
from exmcr.figures.style import mark

if TYPE_CHECKING:
    from exmcr.project import Project

PAGE_STYLE = """<style>
body { max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #1b1f24; background: #fff; }
body { font: 16px/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto; }
td, th { padding: 4px 10px; border-bottom: 1px solid #d5d8dc; text-align: right; }
td:first-child, th:first-child { text-align: left; }
figure { margin: 1em 0; } figure img { max-width: 100%; }
.query { display: flex; align-items: center; gap: 16px; }
</style>"""
SUBSETS = {"all": "All test queries", "seen": "Seen concepts", "unseen": "Unseen concepts"}


@dataclass
class Gallery:
    """Answers to one query: rows of the item table, the answers with a column `score`."""

    query: Any
    answers: pd.DataFrame


def write(project: "Project", galleries: list[Gallery], path: Path) -> Path:
    """Write the page. Returns its path.

    What a run has not made yet (results.csv, figures, notebooks) is left out.
    """
    name = html.escape(project.root.name)
    parts = [_summary(project), _results(project), _galleries(project, galleries)]
    parts += [_figures(project, path.parent), _notebooks(project, path.parent)]
    body = "\n".join(part for part in parts if part)
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
    write_text(
        path,
        f"{head}{PAGE_STYLE}{STYLE}</head><body><h1>exmcr: {name}</h1>\n{body}\n</body></html>\n",
    )
    return path


def _summary(project: "Project") -> str:
    params = project.params
    lines = [
        f"<li><b>{leaf.modality}</b> from <code>{params.leaf_space(leaf)}</code>, "
        f"by the shared {leaf.overlap}</li>"
        for leaf in project.leaves
    ]
    base = ", ".join(params.modalities_of(params.base_space))
    return (
        f"<p>Ex-MCR: frozen spaces projected into <code>{params.base_space}</code> ({base}), "
        f"trained without paired data.</p><ul>{''.join(lines)}</ul>"
    )


def _results(project: "Project") -> str:
    path = project.reports / "results.csv"
    if not path.is_file():
        return ""
    table, names = pd.read_csv(path), [name for name in ("r1", "map") if name in METRICS]
    labels = " / ".join(METRICS[name].label for name in names)
    parts = [
        f"<h2>Results</h2><p>{labels} in per cent, mean and standard deviation over seeds. "
        "Compare with chance.</p>"
    ]
    for subset, title in SUBSETS.items():
        if (table.concept_subset == subset).any():
            rows = _table(tables.markdown(table, subset, names))
            opened = " open" if subset == "all" else ""
            parts.append(f"<details{opened}><summary>{title}</summary>{rows}</details>")
    return "\n".join(parts)


def _table(markdown: str) -> str:
    """A Markdown table as HTML."""
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines()]
    rows = [lines[0], *lines[2:]]
    cells = [
        "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
        for tag, row in zip(["th", *["td"] * (len(rows) - 1)], rows, strict=True)
    ]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _galleries(project: "Project", galleries: list[Gallery]) -> str:
    parts, script = ["<h2>Galleries</h2>"] if galleries else [], True
    for gallery in galleries:
        query, rows = gallery.query, gallery.answers
        modality = rows.modality.iloc[0]
        title = html.escape(f"{query.modality} → {modality}")
        raw = project.load_item(query)
        right = [
            row.concept == query.concept if row.concept and query.concept else None
            for row in rows.itertuples()
        ]
        parts.append(f'<h3>{title}</h3><div class="query">{card(query, raw)}</div>')
        if modality == "points":
            captions = [
                f"{mark(sign)} {caption}" for sign, caption in zip(right, rows.caption, strict=True)
            ]
            figure = turnable(rows.assign(caption=captions), project.load_item, "")
            script_or_not = "inline" if script else False
            parts.append(figure.to_html(full_html=False, include_plotlyjs=script_or_not))
            script = False
        else:
            parts.append(cards(rows, project.load_item, right))
    return "\n".join(parts)


def _figures(project: "Project", folder: Path) -> str:
    images = sorted(project.figures.glob("*.png"))
    shown = [
        f'<figure><img loading="lazy" alt="{html.escape(image.stem)}" '
        f'src="{image.relative_to(folder).as_posix()}">'
        f"<figcaption>{html.escape(image.stem)}</figcaption></figure>"
        for image in images
    ]
    return "\n".join(["<h2>Figures</h2>", *shown]) if shown else ""


def _notebooks(project: "Project", folder: Path) -> str:
    found = sorted((project.reports / "notebooks").glob("*.ipynb"))
    if not found:
        return ""
    links = [f'<li><a href="{p.relative_to(folder).as_posix()}">{p.stem}</a></li>' for p in found]
    return f"<h2>Executed notebooks</h2><ul>{''.join(links)}</ul>"
