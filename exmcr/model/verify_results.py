"""The results of a project beside those that papers published (published_results.py).

A row counts as run as published if the corpus, its split, the numbers of queries and gallery items
and the frozen spaces are the published ones. The projectors are those that the project trained.
"""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from exmcr.evaluation import tables
from exmcr.evaluation.metrics import metric
from exmcr.model.published_results import (
    BENCHMARKS,
    MODELS,
    NOT_RELEASED,
    SOURCES,
    Benchmark,
    Model,
    published,
)
from exmcr.spaces import space_class

if TYPE_CHECKING:
    from exmcr.config.params import Params
    from exmcr.project import Project

COLUMNS = ["benchmark", "model", "metric", "published", "ours", "file", "as_published", "source"]
RESULTS, COMPARED = "results.csv", "compare.csv"  # in reports/
WITHOUT_INFLUENCE = ("device", "batch_size")  # options of spaces
AS_PUBLISHED, OWN_PROMPTS = "yes", "yes, with prompts of our wording"
NOT_RUN, NO_MODEL = "not run", "not run (a model that this library does not have)"


def beside(project: "Project") -> pd.DataFrame:
    """One row per published number: columns COLUMNS, in per cent, `ours` NaN if it was not run.

    file: where the value comes from: RESULTS, COMPARED, both, or "" if it was not run.
    as_published: AS_PUBLISHED, OWN_PROMPTS, "no: " and the reasons, NOT_RUN or NO_MODEL.

    Methods are those of reports/results.csv, then of reports/compare.csv, if there is one, for
    tasks on which results.csv lacks the method. Raises ConfigError if a file is damaged, or
    results.csv is missing.
    """
    compared = project.reports / COMPARED
    return against(
        project.params,
        tables.read(project.reports / RESULTS),
        tables.read(compared) if compared.is_file() else None,
    )


def against(
    params: "Params", results: pd.DataFrame, compared: pd.DataFrame | None = None
) -> pd.DataFrame:
    """As `beside`, from parameters and the tables of results.csv and compare.csv."""
    mean = _means(results, RESULTS)
    if compared is not None:
        further = _means(compared, COMPARED)
        # Not row by row: other seeds of the same method may be of another run.
        known = set(zip(mean.task, mean.method, strict=True))
        new = [key not in known for key in zip(further.task, further.method, strict=True)]
        mean = pd.concat([mean, further[new]], ignore_index=True) if any(new) else mean
    rows = []
    for result in published():
        benchmark, model = BENCHMARKS[result.benchmark], MODELS[result.model]
        own = mean[(mean.method == model.ours) & mean.task.isin(benchmark.sizes)]
        value = 100 * float(own[result.metric].mean())  # NaN if there are none
        verdict = _verdict(params, benchmark, model, own)
        rows.append((*result[:4], value, ", ".join(own.file.unique()), verdict, result.source))
    return pd.DataFrame(rows, columns=COLUMNS)


def _means(results: pd.DataFrame, file: str) -> pd.DataFrame:
    """Mean over seeds of all queries of a task, with the name of the file."""
    return tables.over_seeds(results[results.concept_subset == "all"]).assign(file=file)


def _verdict(params: "Params", benchmark: Benchmark, model: Model, own: pd.DataFrame) -> str:
    """Whether these rows of the results were run as published, and why not."""
    if not model.ours:
        return NO_MODEL
    if own.empty:
        return NOT_RUN
    reasons = [*_other_data(params, benchmark, own), *_other_spaces(params, model, own)]
    if reasons:
        return f"no: {'; '.join(reasons)}"
    return OWN_PROMPTS if benchmark.prompts else AS_PUBLISHED


def _other_data(params: "Params", benchmark: Benchmark, own: pd.DataFrame) -> Iterator[str]:
    """How split, tasks and sizes differ from the published ones."""
    entries = [e for e in params.paper if e.corpus == benchmark.corpus and e.as_ == "test"]
    splits = sorted({entry.split for entry in entries})
    if splits != [benchmark.split]:
        yield f"split {' and '.join(splits) or 'unknown'}, published {benchmark.split}"
    sizes = {row.task: (int(row.n_queries), int(row.n_gallery)) for row in own.itertuples()}
    pairs = [(sizes[task], right) for task, right in benchmark.sizes.items() if task in sizes]
    different = [
        f"{_times(own)}, published {_times(right)}" for own, right in pairs if own != right
    ]
    yield from different[:1]  # the other direction has the same numbers
    yield from (f"{task} was not run" for task in benchmark.sizes if task not in sizes)


def _other_spaces(params: "Params", model: Model, own: pd.DataFrame) -> Iterator[str]:
    """How the frozen spaces of the modalities of these tasks differ from the published ones."""
    modalities = {name for task in own.task for name in task.split(" (")[0].split("->")}
    leaves = {m: leaf for m in sorted(modalities) if (leaf := params.leaf_of(m))}
    used = {m: params.leaf_space(leaf) for m, leaf in leaves.items()}
    if "base" in model.spaces:
        used["base"] = params.base_space
    for role, space in used.items():
        name, options = model.spaces.get(role, ("none", {}))
        ours = params.encoder_options(space)
        if space != name:
            yield f"space of {role}: {space}, published {name}"
            continue
        for key, value in options.items():
            if ours.get(key, value) != value:
                yield f"{key} of {space}: {ours[key]}, published {value}"
        yield from _other_options(space, {k: v for k, v in ours.items() if k not in options})


def _other_options(space: str, chosen: dict[str, Any]) -> Iterator[str]:
    """Options that no paper names, but that change the vectors and are not the default."""
    arguments = inspect.signature(space_class(space)).parameters
    for key, value in chosen.items():
        default = arguments[key].default
        if key not in WITHOUT_INFLUENCE and value != default:
            yield f"{key} of {space}: {value}, default {'none' if default is None else default}"


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def markdown(table: pd.DataFrame) -> str:
    """The table of `beside` as Markdown, one part per benchmark with its protocol, then the
    versions that were not released and the sources."""
    parts = []
    for name, rows in table.groupby("benchmark", sort=False):
        parts.append("\n".join([_protocol(str(name)), "", *_lines(rows)]))
    versions = [f"- {name}: not run: {why}" for name, why in NOT_RELEASED.items()]
    sources = [f"- {name}: {where}, {url}" for name, (where, url) in SOURCES.items()]
    parts += ["\n".join(["Further versions", "", *versions])]
    parts += ["\n".join(["Sources", "", *sources])]
    return "\n\n".join(parts)


def _protocol(name: str) -> str:
    """One line: what is measured, and how."""
    benchmark = BENCHMARKS[name]
    tasks = ", ".join(f"{task} {_times(size)}" for task, size in benchmark.sizes.items())
    note = f"; {benchmark.note}" if benchmark.note else ""
    return f"{name}: {tasks}, split {benchmark.split}{note}"


def _lines(rows: pd.DataFrame) -> Iterator[str]:
    """A line for each model and source, with all metrics that were published."""
    yield "| model | metric | published | ours | run as published? | source |"
    yield "|---" * 6 + "|"
    for (model, source), own in rows.groupby(["model", "source"], sort=False):
        labels = " / ".join(metric(name).label for name in own.metric)
        right, ours = (
            " / ".join(f"{value:.2f}" for value in own[c].dropna()) for c in ("published", "ours")
        )
        file = own.file.iloc[0]
        ours += f" ({file})" if COMPARED in file else ""
        cells = (model, labels, right, ours, own.as_published.iloc[0], source)
        yield f"| {' | '.join(map(str, cells))} |"


def summary(table: pd.DataFrame) -> str:
    """One line: how many of the published numbers of `beside` were run, and how."""
    right = int(table.as_published.str.startswith(AS_PUBLISHED).sum())
    ran = int(table.ours.notna().sum())
    line = f"{len(table)} published numbers: {right} run as published, {ran - right} otherwise"
    return f"{line}, {len(table) - ran} not run"
