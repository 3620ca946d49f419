"""Figures of pseudo-pairs: how sharp softmax aggregation is, and which items it pairs."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.figures.items import as_gallery
from exmcr.figures.style import panels, short, store
from exmcr.kernels.aggregate import aggregate
from exmcr.kernels.search import topk
from exmcr.pairing import pairs

if TYPE_CHECKING:
    from exmcr.config import Leaf
    from exmcr.project import Project

QUERIES = 500  # at most, per center; each holds a weight for every key
SORTED = 50  # at most, where the weights are also sorted
NEAR = 0.97  # cosine in the frozen space from which two training items of a line count as the same
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
        middle = table[table.leaf == leaf].neighbors.median()
        axis.set(xscale="log", title=f"{leaf} leaf: median {middle:.1f} neighbors")
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
    """Softmax weights, heaviest first, summed up: (at most SORTED, m); a fixed draw of queries."""
    some = queries[np.random.default_rng(0).permutation(len(queries))[:SORTED]]
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
    enough = table[table.mass >= 0.99].groupby(["leaf", "center", "bank", "size"]).k.min()
    share = np.median(enough / enough.index.get_level_values("size"))
    figure.suptitle(f"99 % of the weight is on {share:.0%} of the keys (median over aggregations)")
    return store(figure, path)


def pseudo_pairs(project: "Project", leaf: "Leaf", n: int, answers: int = 5):
    """n items of a leaf, and the base items nearest to the vector that the leaf-centered
    aggregation paired each with.

    The items have a concept, if there are enough of them. An answer that is almost the same as one
    shown before it is left out. Returns the first three arguments of
    `exmcr.figures.items.gallery`. The draw is fixed. Raises ConfigError if there are no
    leaf-centered pseudo-pairs.
    """
    params = project.params
    bank = project.bank(params.leaf_space(leaf), leaf.modality, "train")
    other = project.bank(params.base_space, project.other_modality(leaf), "train")
    made = pairs.load(project.pairs_path(leaf.name), ["leaf"])
    rows = project.items.set_index("id", drop=False)
    known = np.flatnonzero((rows.concept.loc[bank.ids] != "").to_numpy())
    known = known if len(known) >= n else np.arange(len(bank))
    chosen = np.random.default_rng(1).choice(known, size=min(n, len(known)), replace=False)
    vectors = np.asarray(other.vectors)
    order = np.argsort(-(made["y_base"].numpy()[chosen] @ vectors.T), axis=1)
    best = [distinct(vectors, line[: 10 * answers], answers) for line in order]
    return as_gallery(rows.loc[bank.ids[chosen]], [rows.loc[other.ids[b]] for b in best])


def distinct(vectors: np.ndarray, order: np.ndarray, most: int, near: float = NEAR) -> list[int]:
    """The first `most` of `order` without near-duplicates of earlier ones: a training bank may hold
    several copies of an item.

    vectors: unit rows (n, d) of the items; order: their numbers, best first.
    """
    kept: list[int] = []
    for number in order:
        if len(kept) == most:
            break
        if not kept or float((vectors[kept] @ vectors[number]).max()) < near:
            kept.append(int(number))
    return kept


def between(project: "Project", leaf: "Leaf", n: int, k: int = 4) -> pd.DataFrame:
    """What lies between a leaf item and its partner: the k overlap items with the largest weights,
    for n items of the leaf that have a caption, if there are enough.

    Columns: query (caption of the leaf item), concept, and the caption and weight, in %, of each of
    the k overlap items.
    """
    pools, rows = project.pools(leaf), project.items.set_index("id")
    captioned = np.flatnonzero((rows.caption.loc[pools.ids["x"]] != "").to_numpy())
    some = captioned if len(captioned) >= n else np.arange(len(pools.x_leaf))
    chosen = some[np.linspace(0, len(some) - 1, min(n, len(some))).astype(int)]
    logits = pools.x_leaf[chosen] @ pools.o_leaf.T / project.params.pair.tau1
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    table = rows.loc[pools.ids["x"][chosen], ["caption", "concept"]].rename(
        columns={"caption": "query"}
    )
    best = np.argsort(-weights, axis=1)[:, :k]
    for rank in range(best.shape[1]):
        names = rows.caption.loc[pools.ids["o"][best[:, rank]]].to_numpy()
        shares = 100 * np.take_along_axis(weights, best[:, rank : rank + 1], axis=1)[:, 0]
        text = [f"{short(name)} ({share:.0f} %)" for name, share in zip(names, shares, strict=True)]
        table[f"neighbor {rank + 1}"] = text
    return table
