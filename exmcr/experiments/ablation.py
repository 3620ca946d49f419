"""Ablations of Ex-MCR (arXiv:2310.08884): one parameter changed at a time.

`ablate` trains, for every leaf and seed, with each value of one factor that is not the leaf's own,
or, for the factor "default", with the leaf's own values; `report` puts all factors into one table.
All runs train at most `ablate.steps` steps, those of the defaults too. They are scored on
validation concepts, by which settings may be chosen; test items are never used.
"""

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.config import CENTERS, TERMS, Leaf, Params
from exmcr.evaluation import tables
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.tasks import Task, tasks
from exmcr.methods.exmcr import as_maps
from exmcr.pairing import pairs
from exmcr.pairing.centering import centered
from exmcr.training.centering import absorb_mean
from exmcr.training.fit import fit_projector

if TYPE_CHECKING:
    from exmcr.project import Project

DEFAULT = "default"
OF_PAIRS = ("centers", "tau1")  # factors of the block `pair`; all others belong to `train`


def columns() -> list[str]:
    """Columns of the table; those of metrics are the registered ones."""
    known = ("concept_subset", "method", "seed")
    rest = [name for name in tables.columns() if name not in known]
    return ["factor", "value", "leaf", "seed", "default", *rest]


def train_settings(params: Params, leaf: str) -> dict[str, Any]:
    """Settings of training for a leaf, with at most ablate.steps steps if that is a number."""
    settings, most = params.train_settings(leaf), params.ablate.steps
    return settings | {"steps": min(settings["steps"], most)} if most else settings


def label(factor: str, value: Any) -> str:
    """A value as the table and the figure show it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        everything = {"centers": CENTERS, "terms": TERMS}[factor]
        if len(value) == len(everything):
            return {"centers": "all", "terms": "dense"}[factor]
        return "+".join(part for part in everything if part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def default_value(params: Params, leaf: str, factor: str) -> Any:
    """The value of a factor that a leaf uses if nothing is changed."""
    settings = params.pair_settings() if factor in OF_PAIRS else params.train_settings(leaf)
    return settings[factor]


def changed(params: Params, leaf: str, factor: str, value: Any) -> Params:
    """A copy of the parameters in which this leaf has another value of one factor."""
    path = f"pair.{factor}" if factor in OF_PAIRS else f"train.leaves.{leaf}.{factor}"
    return config.changed(params, {path: value})


def ablate(project: "Project", factor: str, progress: bool = True) -> pd.DataFrame:
    """Train and score every value of one factor; writes reports/ablation/FACTOR.csv.

    Raises ConfigError for a factor that params.yaml does not list under `ablate`.
    """
    params = project.params
    if factor != DEFAULT and factor not in params.ablate.factors():
        known = ", ".join(params.ablate.factors()) or "none"
        raise ConfigError(
            f"unknown factor '{factor}'; params.yaml lists {known} under ablate, besides "
            f"'{DEFAULT}'"
        )
    embeddings = Embeddings(project)
    runs = {leaf.name: _runs(params, leaf.name, factor) for leaf in project.leaves}
    count, rows = sum(map(len, runs.values())), []
    with tqdm(total=count, desc=f"ablate {factor}", unit="value", disable=not progress) as bar:
        for leaf in project.leaves:
            own_tasks, pools = _answerable(project, leaf), project.pools(leaf)
            x_leaf, pools = pools.x_leaf, centered(pools) if params.pair.subtract_mean else pools
            # Runs of a leaf share the quadruples of a center at one tau1.
            between = params.pair.normalize_between
            make = partial(pairs.quadruples, pools, normalize_between=between)
            quadruples = lru_cache(len(CENTERS))(make)
            for value, settings in runs[leaf.name]:
                chosen = settings.pair
                pool = pairs.union([quadruples(center, chosen.tau1) for center in chosen.centers])
                keys: dict[str, Any] = {"factor": factor, "value": value, "leaf": leaf.name}
                keys["default"] = factor == DEFAULT
                scores = _scores(embeddings, leaf.name, own_tasks, pool, x_leaf, settings)
                rows += [keys | row for row in scores]
                bar.update()
    table = pd.DataFrame(rows, columns=columns())
    with atomic_write(project.reports / "ablation" / f"{factor}.csv") as draft:
        table.to_csv(draft, index=False, float_format="%.6f")
    return table


def _runs(params: Params, leaf: str, factor: str) -> list[tuple[str, Params]]:
    """(label, parameters) of every value that is not the leaf's own; for DEFAULT, of its own."""
    if factor == DEFAULT:
        return [(DEFAULT, params)]
    own = label(factor, default_value(params, leaf, factor))
    values = [value for value in params.ablate.factors()[factor] if label(factor, value) != own]
    return [(label(factor, value), changed(params, leaf, factor, value)) for value in values]


def _scores(
    embeddings: Embeddings,
    leaf: str,
    chosen: list[Task],
    pool: dict[str, torch.Tensor],
    x_leaf: np.ndarray,
    params: Params,
) -> list[dict]:
    """Rows of the results table: a projector trained with every seed, on these tasks.

    x_leaf: the pool of the leaf's own modality, whose mean the projector absorbs if the quadruples
    are of centered pools.
    """
    rows = []
    for seed in params.seeds:
        projector, _ = fit_projector(pool, train_settings(params, leaf), seed, progress=False)
        if params.pair.subtract_mean:
            absorb_mean(projector, x_leaf)
        maps = {leaf: as_maps(projector)}
        for task in chosen:
            queries, gallery = (embeddings.common(x, maps) for x in (task.queries, task.gallery))
            scored = tables.rows_of_vectors(task, "exmcr", seed, queries, gallery)
            rows += [row for row in scored if row["concept_subset"] == "all"]
    return rows


def _answerable(project: "Project", leaf: Leaf) -> list[Task]:
    """The validation tasks that need this leaf and no other."""
    known = {*project.params.modalities_of(project.params.base_space), leaf.modality}
    ends = [({t.from_modality, t.to_modality}, t) for t in tasks(project.usable_items, "val")]
    return [task for modalities, task in ends if leaf.modality in modalities <= known]


def report(project: "Project") -> pd.DataFrame:
    """All factors in one table, which it writes to reports/ablation.csv.

    The runs with a leaf's own values appear under each factor. Values are in the order of
    params.yaml; a leaf's own value that is not listed there comes last. Raises ConfigError if a
    factor has not been run.
    """
    params, listed = project.params, project.params.ablate.factors()
    parts = {factor: _stored(project, factor) for factor in (DEFAULT, *listed)}
    own, runs = parts.pop(DEFAULT), []
    for factor, part in parts.items():
        values = [label(factor, default_value(params, leaf, factor)) for leaf in own.leaf]
        runs += [own.assign(factor=factor, value=values), part]
    table = pd.concat(runs, ignore_index=True)
    order = {
        factor: [label(factor, value) for value in values] for factor, values in listed.items()
    }
    places = [
        (list(order).index(factor), (order[factor] + [value]).index(value), row)
        for row, (factor, value) in enumerate(zip(table.factor, table.value, strict=True))
    ]
    rows = [row for _, _, row in sorted(places)]
    table = table.loc[rows, columns()].reset_index(drop=True)
    with atomic_write(project.reports / "ablation.csv") as draft:
        table.to_csv(draft, index=False, float_format="%.6f")
    return table


def _stored(project: "Project", factor: str) -> pd.DataFrame:
    path = project.reports / "ablation" / f"{factor}.csv"
    if not path.is_file():
        raise ConfigError(f"no {path}; run `make ablate`")
    return pd.read_csv(path, dtype={"value": str})
