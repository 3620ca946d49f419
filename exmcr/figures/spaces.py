"""Figures of the frozen spaces: how the mini spaces were fitted, and how banks fill the sphere."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.figures.style import GRAY, RIGHT, modality_order, panels, store

if TYPE_CHECKING:
    from exmcr.project import Project

SAME = 0.9999  # above this cosine, an item was compared with itself


def space_losses(table: pd.DataFrame, path=None):
    """Distance of training items and captions in the mini spaces: one panel per space, a pair of
    bars per pair of modalities, for the class names alone and for the fitted tower.

    table: columns space, step, pair, loss, as `exmcr.pipeline.fit_spaces` returns it.
    """
    groups = list(table.space.unique())
    figure, axes = panels(len(groups), len(groups), 4.2 * len(groups), 3.2)
    for axis, group in zip(axes, groups, strict=True):
        part = table[table.space == group]
        losses = part.pivot(index="pair", columns="step", values="loss")[["names", "fitted"]]
        losses.plot.bar(ax=axis, rot=0, color=[GRAY, RIGHT], xlabel="", ylabel="1 - cosine")
        axis.set(title=str(group), ylim=(0, 1))
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle("Mini spaces: distance of training items and their captions")
    return store(figure, path)


def bank_cosines(
    project: "Project", pairs_per_bank: int = 4000
) -> dict[str, dict[str, np.ndarray]]:
    """Cosines of random pairs of items, within each training bank and between banks of a space.

    Returns {space: {"modality – modality": values}}. The draw is fixed. Raises ConfigError for a
    bank of a modality that is not registered.
    """
    rng = np.random.default_rng(0)
    made: dict[str, dict[str, np.ndarray]] = {}
    for space in project.spaces:
        manifests = (project.banks / space).glob("*/train/manifest.json")
        names = modality_order(path.parent.parent.name for path in manifests)
        opened = {name: project.bank(space, name, "train") for name in names}
        banks = {name: np.asarray(bank.vectors) for name, bank in opened.items()}
        found = {}
        for a, b in itertools.combinations_with_replacement(banks, 2):
            left = banks[a][rng.integers(len(banks[a]), size=pairs_per_bank)]
            right = banks[b][rng.integers(len(banks[b]), size=pairs_per_bank)]
            cosine = (left * right).sum(axis=1)
            found[f"{a} – {b}"] = cosine[cosine < SAME]
        made[space] = found
    return made


def cosines(values: dict[str, dict[str, np.ndarray]], path=None):
    """Histograms of `bank_cosines`: one panel per space, one line per pair of modalities."""
    figure, axes = panels(len(values), len(values), 4.2 * len(values), 3.2)
    bins = np.linspace(-0.6, 1, 81)
    for axis, (space, found) in zip(axes, values.items(), strict=True):
        for label, cosine in found.items():
            axis.hist(cosine, bins=bins, density=True, histtype="step", lw=1.4, label=label)
        axis.set(title=space, xlabel="cosine of two random items", yticks=[])
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle("How the training banks fill the sphere")
    return store(figure, path)
