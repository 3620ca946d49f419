"""The other two tasks of C-MCR, for every method, on compositions of the test items.

Sound localization: which part of an image makes a sound? Counterfactual recognition: does a sound
fit an image? Writes reports/downstream.csv (columns: downstream_table.py) and a figure.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.common.files import atomic_write
from exmcr.evaluation import localization
from exmcr.evaluation.bench import REPORTED, Bench
from exmcr.evaluation.stage import trained_maps
from exmcr.experiments.downstream_scenes import SOUNDING, EncodedScenes, of_project
from exmcr.experiments.downstream_table import COLUMNS, mapped_regions, region_scores, table
from exmcr.figures import localization as drawing
from exmcr.methods.maps import Maps
from exmcr.methods.registry import seeds_of

if TYPE_CHECKING:
    from exmcr.project import Project

DRAWN = ("exmcr", "cmcr", "hop")  # methods in the figure, each with its first seed


def run(project: "Project") -> pd.DataFrame:
    """Write reports/downstream.csv and reports/figures/downstream.png. Returns the table.

    If no leaf has the modality audio, the table is empty and there is no figure. Raises ConfigError
    if projectors are missing or were trained with other settings, or if the test split lacks what
    compositions need.
    """
    result = pd.DataFrame(columns=COLUMNS)
    if project.params.leaf_of(SOUNDING) is not None:
        fitted, scenes = methods(project), of_project(project)
        result = table(scenes, fitted)
        first = {name: (name, seeds_of(project.params, name)[0]) for name in DRAWN}
        drawn = {name: fitted[key] for name, key in first.items() if key in fitted}
        figure(scenes, drawn, project.figures / "downstream.png")
    with atomic_write(project.reports / "downstream.csv") as draft:
        result.to_csv(draft, index=False, float_format="%.6f")
    return result


def methods(project: "Project") -> dict[tuple[str, int], Maps]:
    """{(method, seed): maps of the leaf of sounds}: the methods of the results table and C-MCR,
    with all their seeds, without those that cannot serve this leaf."""
    leaf = project.params.leaf_of(SOUNDING)
    bench = Bench(project, trained=trained_maps(project))
    fitted = {}
    for name in (*REPORTED, "cmcr"):
        for seed in seeds_of(project.params, name):
            maps = bench.fit(name, seed)
            if leaf is not None and leaf.name in maps:
                fitted[name, seed] = maps[leaf.name]
    return fitted


def figure(scenes: EncodedScenes, drawn: dict[str, Maps], path: Path | None = None, most: int = 5):
    """Heat maps of some scenes, evenly spread over all, for each of these methods.

    Returns the matplotlib figure.
    """
    count = len(scenes.scenes)
    which = np.linspace(0, count - 1, min(most, count)).astype(int)
    heats = {}
    for name, maps in drawn.items():
        regions = mapped_regions(scenes.regions[which], maps.base)
        scores = region_scores(regions, maps.leaf(scenes.sounds[which]))
        heats[name] = localization.heat(scores, localization.windows())
    return drawing.localization([scenes.scenes[n] for n in which], heats, path)
