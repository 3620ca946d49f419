"""Ablations of Ex-MCR (arXiv:2310.08884): one parameter changed at a time.

`ablate` trains with every value of one factor that is not the leaf's own, and for the factor
"default" with the leaf's own values, for every leaf and seed; `report` puts all factors together.
All runs train at most `ablate.steps` steps, the defaults too. They are scored on validation
concepts, which settings may be chosen by; test items are never used.
"""

from functools import lru_cache, partial
from typing import Any

import pandas as pd
from tqdm import tqdm

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.config import CENTERS, TERMS, Params
from exmcr.evaluation import tables
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.tasks import Task, tasks
from exmcr.methods.exmcr import as_maps
from exmcr.pairing import pairs
from exmcr.spaces import space_class
from exmcr.training.fit import fit_projector

DEFAULT = "default"
OF_PAIRS = ("centers", "tau1")  # factors of the block `pair`; all others belong to `train`
OTHER = [name for name in tables.COLUMNS if name not in ("concept_subset", "method", "seed")]
COLUMNS = ["factor", "value", "leaf", "seed", "default", *OTHER]


def train_settings(params: Params, leaf: str) -> dict:
    """Settings of training for a leaf, with at most ablate.steps steps if that is a number."""
    block, most = params.train_settings(leaf), params.ablate.steps
    return block | {"steps": min(block["steps"], most)} if most else block


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
    """The value that a leaf uses if nothing is changed."""
    block = params.pair_settings() if factor in OF_PAIRS else params.train_settings(leaf)
    return block[factor]


def changed(params: Params, leaf: str, factor: str, value: Any) -> Params:
    """A copy of the parameters in which this leaf has another value of one factor."""
    path = f"pair.{factor}" if factor in OF_PAIRS else f"train.leaves.{leaf}.{factor}"
    return config.changed(params, {path: value})


def ablate(project, factor: str, progress: bool = True) -> pd.DataFrame:
    """Train and score every value of one factor; writes reports/ablation/FACTOR.csv.

    Raises ConfigError for a factor that params.yaml does not list under `ablate`.
    """
    params = project.params
    if factor != DEFAULT and factor not in params.ablate.factors():
        known = ", ".join(params.ablate.factors()) or "none"
        raise ConfigError(
            f"ablate: unknown factor '{factor}'; params.yaml lists {known}, besides '{DEFAULT}'"
        )
    embeddings = Embeddings(project)
    runs = {leaf.name: _runs(params, leaf.name, factor) for leaf in project.leaves}
    rows = []
    with tqdm(
        total=sum(map(len, runs.values())),
        desc=f"ablate {factor}",
        unit="value",
        disable=not progress,
    ) as bar:
        for leaf in project.leaves:
            asked, pools = _answerable(project, leaf), project.pools(leaf)
            # Runs of a leaf share the quadruples of a center at one tau1.
            quadruples = lru_cache(len(CENTERS))(partial(pairs.quadruples, pools))
            for value, settings in runs[leaf.name]:
                chosen = settings.pair
                pool = pairs.union([quadruples(center, chosen.tau1) for center in chosen.centers])
                names = {"factor": factor, "value": value, "leaf": leaf.name}
                names["default"] = factor == DEFAULT
                found = _scores(embeddings, leaf.name, asked, pool, settings)
                rows += [names | row for row in found]
                bar.update()
    made = pd.DataFrame(rows, columns=COLUMNS)
    with atomic_write(project.reports / "ablation" / f"{factor}.csv") as draft:
        made.to_csv(draft, index=False, float_format="%.6f")
    return made


def _runs(params: Params, leaf: str, factor: str) -> list[tuple[str, Params]]:
    """(label, parameters) of every value that is not the leaf's own; for DEFAULT of the own ones."""
    if factor == DEFAULT:
        return [(DEFAULT, params)]
    own = label(factor, default_value(params, leaf, factor))
    values = [value for value in params.ablate.factors()[factor] if label(factor, value) != own]
    return [(label(factor, value), changed(params, leaf, factor, value)) for value in values]


def _scores(embeddings, leaf: str, asked: list[Task], pool: dict, params: Params) -> list[dict]:
    """Rows of the results table: a projector trained with every seed, on these tasks."""
    rows = []
    for seed in params.seeds:
        projector, _ = fit_projector(pool, train_settings(params, leaf), seed, progress=False)
        maps = {leaf: as_maps(projector)}
        for task in asked:
            ends = (embeddings.common(items, maps) for items in (task.queries, task.gallery))
            found = tables.rows_of_vectors(task, "exmcr", seed, *ends)
            rows += [row for row in found if row["concept_subset"] == "all"]
    return rows


def _answerable(project, leaf) -> list[Task]:
    """The validation tasks that need this leaf and no other."""
    known = {*space_class(project.params.base_space).modalities, leaf.modality}
    asked = [({t.from_modality, t.to_modality}, t) for t in tasks(project.items, "val")]
    return [task for ends, task in asked if leaf.modality in ends and ends <= known]


def report(project) -> pd.DataFrame:
    """All factors in one table, which it writes to reports/ablation.csv.

    The runs with a leaf's own values, made once, appear under each factor; values are ordered as in
    params.yaml, with a leaf's own value last if it is not listed. Raises ConfigError if a factor
    has not been run.
    """
    folder, params = project.reports / "ablation", project.params
    listed = params.ablate.factors()
    parts = {}
    for factor in (DEFAULT, *listed):
        if not (folder / f"{factor}.csv").is_file():
            raise ConfigError(f"no {folder / f'{factor}.csv'}; run `make ablate`")
        parts[factor] = pd.read_csv(folder / f"{factor}.csv", dtype={"value": str})
    own, found = parts.pop(DEFAULT), []
    for factor, part in parts.items():
        values = [label(factor, default_value(params, leaf, factor)) for leaf in own.leaf]
        found += [own.assign(factor=factor, value=values), part]
    made = pd.concat(found, ignore_index=True)
    order = [(factor, label(factor, value)) for factor in listed for value in listed[factor]]
    panels = list(parts)
    place = [
        (panels.index(key[0]), order.index(key) if key in order else len(order))
        for key in zip(made.factor, made.value, strict=True)
    ]
    rows = [row for _, row in sorted(zip(place, made.index, strict=True))]
    made = made.loc[rows, COLUMNS].reset_index(drop=True)
    with atomic_write(project.reports / "ablation.csv") as draft:
        made.to_csv(draft, index=False, float_format="%.6f")
    return made
