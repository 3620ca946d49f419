"""Figures of pseudo-pairs: how sharp softmax aggregation is, and which items it pairs."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.figures.items import as_gallery
from exmcr.figures.style import panels, store
from exmcr.kernels.aggregate import aggregate
from exmcr.kernels.search import topk
from exmcr.pairing import pairs

if TYPE_CHECKING:
    from exmcr.config import Leaf
    from exmcr.project import Project

QUERIES = 500  # at most, per center; each holds a weight for every key
# {center: its aggregations, as (queries, keys)}; all are parts of a quadruple, keys also of Pools.
AGGREGATIONS = {
    "overlap": (("o_leaf", "x_leaf"), ("o_base", "y_base")),
    "leaf": (("x_leaf", "o_leaf"), ("o_base", "y_base")),
    "base": (("y_base", "o_base"), ("o_leaf", "x_leaf")),
}


def _aggregations(center: str) -> tuple[tuple[str, str], ...]:
    if center not in AGGREGATIONS:
        raise ConfigError(f"unknown center '{center}'; known: {', '.join(AGGREGATIONS)}")
    return AGGREGATIONS[center]


def effective_neighbors(project: "Project") -> pd.DataFrame:
    """Effective number of neighbors, 1 / sum of squared weights, in the first aggregation of each
    center.

    Returns one row per query: leaf, center, neighbors (from 1 to the number of keys). Raises
    ConfigError for a center whose aggregations are not listed here.
    """
    tau, rows = project.params.pair.tau1, []
    for leaf in project.leaves:
        pools = project.pools(leaf)
        for center in project.params.pair.centers:
            queries, keys = (getattr(pools, part) for part in _aggregations(center)[0])
            found = aggregate(queries[:QUERIES], keys, keys, tau, neighbors=True).neighbors
            rows += [(leaf.name, center, float(n)) for n in found]
    return pd.DataFrame(rows, columns=["leaf", "center", "neighbors"])


def neighbors(table: pd.DataFrame, path=None):
    """Histograms of `effective_neighbors`: one panel per leaf, one line per center."""
    leaves = list(table.leaf.unique())
    figure, axes = panels(len(leaves), len(leaves), 4.6 * len(leaves), 3.2)
    bins = np.geomspace(1, max(2.0, table.neighbors.max()), 40)
    for axis, leaf in zip(axes, leaves, strict=True):
        for center, part in table[table.leaf == leaf].groupby("center", sort=False):
            share = np.full(len(part), 100 / len(part))
            axis.hist(
                part.neighbors, bins=bins, weights=share, histtype="step", lw=1.6, label=center
            )
        axis.set(xscale="log", title=f"{leaf} leaf")
        axis.set(xlabel="effective number of neighbors", ylabel="% of queries")
        axis.legend(frameon=False, title="center", fontsize=8)
    return store(figure, path)


def weight_in_top_k(project: "Project") -> pd.DataFrame:
    """Weight that the k heaviest keys of a query have together, in every aggregation behind the
    stored pseudo-pairs.

    Columns: leaf, center, bank (modality and space of the keys), size (number of keys), k (powers
    of two, and size), mass (mean over queries, in [0, 1]), low (5 % quantile over queries). Raises
    ConfigError if a center has not been made, or if its aggregations are not listed here.
    """
    tau, rows = project.params.pair.tau1, []
    for leaf in project.leaves:
        pools = project.pools(leaf)
        for center in project.params.pair.centers:
            made = pairs.load(project.pairs_path(leaf.name), [center])
            for asking, part in _aggregations(center):
                keys = getattr(pools, part)
                bank = f"{pools.names[part[0]]} ({part[2:]})"
                held = _cumulative_weights(made[asking].numpy(), keys, tau)
                for k in sorted({2**i for i in range(len(keys).bit_length())} | {len(keys)}):
                    mass, low = held[:, k - 1].mean(), np.quantile(held[:, k - 1], 0.05)
                    rows.append((leaf.name, center, bank, len(keys), k, mass, low))
    columns = ["leaf", "center", "bank", "size", "k", "mass", "low"]
    return pd.DataFrame(rows, columns=columns)


def _cumulative_weights(queries: np.ndarray, keys: np.ndarray, tau: float) -> np.ndarray:
    """Softmax weights, heaviest first, summed up: (at most QUERIES, m); a fixed draw of queries."""
    some = queries[np.random.default_rng(0).permutation(len(queries))[:QUERIES]]
    log_mass = aggregate(some, keys, keys, tau).log_mass
    ordered = topk(some, keys, len(keys)).scores
    return np.exp(ordered / tau - log_mass[:, None]).cumsum(axis=1)


def top_mass(table: pd.DataFrame, path=None):
    """Mean weight of the k heaviest keys against k: one panel per leaf, one line per aggregation.

    table: that of `weight_in_top_k`.
    """
    leaves = list(table.leaf.unique())
    figure, axes = panels(len(leaves), len(leaves), 4.8 * len(leaves), 3.6, sharey=True)
    for axis, leaf in zip(axes, leaves, strict=True):
        lines = table[table.leaf == leaf].groupby(["center", "bank", "size"], sort=False)
        for number, ((center, bank, size), part) in enumerate(lines):
            # The two aggregations of a center share its color.
            style = {"color": f"C{number // 2}", "ls": "-" if number % 2 == 0 else "--"}
            label = f"{center}: {size} {bank}"
            axis.plot(part.k, 100 * part.mass, label=label, lw=1.6, **style)
        axis.axhline(99, color="gray", lw=0.8, ls=":")
        axis.set(xscale="log", title=f"{leaf} leaf", xlabel="k")
        axis.legend(frameon=False, fontsize=8, title="center: keys")
    axes[0].set(ylabel="% of the weight in the top k (dotted: 99)", ylim=(0, 102))
    figure.suptitle("How concentrated the weights of the aggregation are")
    return store(figure, path)


def pseudo_pairs(project: "Project", leaf: "Leaf", n: int, answers: int = 5):
    """n items of a leaf, and the base items nearest to the vector that the leaf-centered
    aggregation paired each with.

    Returns the first three arguments of `exmcr.figures.items.gallery`. The draw is fixed. Raises
    ConfigError if there are no leaf-centered pseudo-pairs.
    """
    params = project.params
    bank = project.bank(params.leaf_space(leaf), leaf.modality, "train")
    other = project.bank(params.base_space, project.other_modality(leaf), "train")
    made = pairs.load(project.pairs_path(leaf.name), ["leaf"])
    chosen = np.random.default_rng(1).choice(len(bank), size=min(n, len(bank)), replace=False)
    similarity = made["y_base"].numpy()[chosen] @ np.asarray(other.vectors).T
    best = np.argsort(-similarity, axis=1)[:, :answers]
    rows = project.items.set_index("id", drop=False)
    return as_gallery(rows.loc[bank.ids[chosen]], [rows.loc[other.ids[b]] for b in best])
