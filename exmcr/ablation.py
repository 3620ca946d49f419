"""Ex-MCR's ablations (arXiv:2310.08884): one parameter changed at a time, everything else as params.yaml has it.

Stage `ablate` of ablation/dvc.yaml: `python -m exmcr.ablation FACTOR` trains with every value of ablate.FACTOR that is not the
leaf's own, and `default` with the leaf's own, for every leaf and seed. `python -m exmcr.ablation report` puts them together.
All of them, `default` too, train at most ablate.steps steps. Scored on validation concepts, which is what values may be chosen by;
test items are never looked at."""

import argparse
import copy
import sys
from functools import lru_cache, partial

import pandas as pd

from exmcr import config, pairs, plot_scores
from exmcr.config import CENTRES, TERMS
from exmcr.errors import BadItem, ConfigError
from exmcr.evaluation import table
from exmcr.evaluation.tasks import tasks
from exmcr.spaces import space_class

DEFAULT = "default"
FACTORS = config.ABLATED
COLUMNS = ["factor", "value", "leaf", "seed", "default", *(name for name in table.COLUMNS if name not in ("split", "method", "seed"))]


def factors(params: dict) -> dict[str, list]:
    """{factor: values} as params.yaml lists them under `ablate`; `steps`, which all runs share, is none of them."""
    return {name: values for name, values in (params.get("ablate") or {}).items() if name in FACTORS}


def train_settings(params: dict, leaf: str) -> dict:
    """Those of the leaf, with at most ablate.steps steps, if that is a number."""
    block, most = config.train_settings(params, leaf), (params.get("ablate") or {}).get("steps")
    return block | {"steps": min(block["steps"], most)} if most else block


def label(factor: str, value) -> str:
    """A value as it stands in the table and under the figure."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        everything = {"centres": CENTRES, "terms": TERMS}[factor]
        ordered = [part for part in everything if part in value]
        return {"centres": "all", "terms": "dense"}[factor] if len(ordered) == len(everything) else "+".join(ordered)
    return f"{value:g}" if isinstance(value, float) else str(value)


def default_value(params: dict, leaf: str, factor: str):
    """What a leaf uses when nothing is changed."""
    block = params["pair"] if factor in params["pair"] else config.train_settings(params, leaf)
    return block[factor] if factor in block else config.AUTHORS_DEPTHS[factor]


def changed(params: dict, leaf: str, factor: str, value) -> dict:
    """A copy of the parameters in which this leaf has another value of one factor."""
    params = copy.deepcopy(params)
    if factor in params["pair"]:
        params["pair"][factor] = value
    else:
        params["train"].setdefault("leaves", {}).setdefault(leaf, {})[factor] = value
    return params


def ablate(project, factor: str, progress: bool = True) -> pd.DataFrame:
    """Train and score every value of one factor; writes reports/ablation/FACTOR.csv and returns it.

    Raises ConfigError for a factor that params.yaml does not list under `ablate`."""
    from tqdm import tqdm

    params = project.params
    if factor != DEFAULT and factor not in factors(params):
        known = ", ".join(factors(params)) or "none"
        raise ConfigError(f"ablate: unknown factor '{factor}'; params.yaml lists {known}, besides '{DEFAULT}'")
    runs = {leaf["name"]: _runs(params, leaf["name"], factor) for leaf in project.leaves}
    rows = []
    with tqdm(total=sum(map(len, runs.values())), desc=f"ablate {factor}", unit="value", disable=not progress) as bar:
        for leaf in project.leaves:
            asked = _answerable(project, leaf)
            # Kept while a leaf's runs share them: the quadruples of every centre at one tau1.
            quadruples = lru_cache(len(CENTRES))(partial(pairs.quadruples, project.embeddings.pools(leaf)))
            for value, settings in runs[leaf["name"]]:
                pool = pairs.union([quadruples(centre, settings["pair"]["tau1"]) for centre in settings["pair"]["centres"]])
                names = {"factor": factor, "value": value, "leaf": leaf["name"], "default": factor == DEFAULT}
                rows += [names | row for row in _scores(project.embeddings, leaf["name"], asked, pool, settings)]
                bar.update()
    made = pd.DataFrame(rows, columns=COLUMNS)
    path = project.root / "reports/ablation" / f"{factor}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    made.to_csv(path, index=False, float_format="%.6f")
    return made


def _runs(params: dict, leaf: str, factor: str) -> list[tuple[str, dict]]:
    """(label of a value, parameters with it) for every value that is not the leaf's own; for DEFAULT the parameters as they are."""
    if factor == DEFAULT:
        return [(DEFAULT, params)]
    own = label(factor, default_value(params, leaf, factor))
    return [(label(factor, value), changed(params, leaf, factor, value)) for value in factors(params)[factor] if label(factor, value) != own]


def _scores(embeddings, leaf: str, asked: list, pool: dict, settings: dict) -> list[dict]:
    """Rows of the results table: a projector trained on these quadruples with every seed, on these tasks."""
    from exmcr.pipeline import as_maps, fit_projector

    rows = []
    for seed in settings["seeds"]:
        projector, _ = fit_projector(pool, train_settings(settings, leaf), seed, progress=False)
        maps = {leaf: as_maps(projector)}
        for task in asked:
            found = table.rows(task, "exmcr", seed, embeddings.common(task.queries, maps), embeddings.common(task.gallery, maps))
            rows += [row for row in found if row["split"] == "all"]
    return rows


def _answerable(project, leaf: dict) -> list:
    known = {*space_class(config.base_space(project.params)).modalities, leaf["modality"]}
    asked = [({task.from_modality, task.to_modality}, task) for task in tasks(project.items, "val")]
    return [task for modalities, task in asked if leaf["modality"] in modalities and modalities <= known]


def report(project) -> pd.DataFrame:
    """All factors in one table: reports/ablation.csv and reports/figures/ablation.png. The runs with a leaf's own values, made
    once, appear under each factor. Raises ConfigError when a factor has not been run."""
    folder = project.root / "reports/ablation"
    parts = {}
    for factor in (DEFAULT, *factors(project.params)):
        if not (folder / f"{factor}.csv").is_file():
            raise ConfigError(f"no {folder / f'{factor}.csv'}; run 'make ablate'")
        parts[factor] = pd.read_csv(folder / f"{factor}.csv", dtype={"value": str})
    own = parts.pop(DEFAULT)
    found = []
    for factor, part in parts.items():
        found.append(own.assign(factor=factor, value=[label(factor, default_value(project.params, leaf, factor)) for leaf in own.leaf]))
        found.append(part)
    made = pd.concat(found, ignore_index=True)
    order = [(factor, label(factor, value)) for factor, values in factors(project.params).items() for value in values]
    # As params.yaml lists them; a leaf's own value that is not listed comes after the others of its factor.
    panels = list(parts)
    place = [(panels.index(key[0]), order.index(key) if key in order else len(order)) for key in zip(made.factor, made.value, strict=True)]
    made = made.loc[[row for _, row in sorted(zip(place, made.index, strict=True))]]
    made = made[COLUMNS].reset_index(drop=True)
    made.to_csv(project.root / "reports/ablation.csv", index=False, float_format="%.6f")
    plot_scores.ablation(made, project.params["ablate"].get("steps"), project.figures / "ablation.png")
    return made


def main(argv: list[str] | None = None) -> int:
    """`python -m exmcr.ablation`. Exit status 2, and one line on stderr, for wrong input."""
    from exmcr.pipeline import Project

    parser = argparse.ArgumentParser(description="Ex-MCR's ablations: one factor, or the report over all of them.")
    parser.add_argument("factor", help=f"{DEFAULT}, {', '.join(FACTORS)}, or report")
    factor = parser.parse_args(argv).factor
    try:
        project = Project()
        report(project) if factor == "report" else ablate(project, factor)
    except (ConfigError, BadItem) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
