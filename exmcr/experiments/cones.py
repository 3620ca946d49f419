"""Cones and gaps: on which spaces each method works, and what centering does.

Synthetic spaces with one property made stronger at a time. One latent, in clusters, is seen by a
leaf and a base that are turned copies of it. Every modality of every space adds private noise and a
constant offset of its own; the offset makes a cone of each modality and a gap between two. The
methods are fitted on unpaired pools as they are, and on pools whose means are subtracted while the
base stays unchanged (exmcr/methods/centered.py).

The cone of a pool is the norm of its mean, from 0 to 1. `measured` gives that of the spaces of a
project, which says where they stand among the synthetic ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.files import atomic_write
from exmcr.common.vectors import unit
from exmcr.evaluation.metrics import METRICS
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.methods.baselines import hop, procrustes
from exmcr.methods.centered import on_centered
from exmcr.methods.exmcr import fit as exmcr
from exmcr.methods.maps import Maps
from exmcr.methods.relative import asif
from exmcr.pairing.centering import mean_of
from exmcr.pairing.pools import PARTS, Pools

if TYPE_CHECKING:
    from exmcr.project import Project

DIM, LATENT, CLUSTERS, ITEMS, TESTS = 128, 24, 60, 1000, 300
SEEDS = (0, 1, 2)
COLUMNS = ["factor", "value", "cone", "method", "centered", "seed", "map", "chance_map"]
# Ex-MCR on small pools: the recipe of params.yaml, with noise of the same norm in fewer dimensions.
PAIR = {"tau1": 0.02, "centers": ["overlap", "leaf", "base"]}
TRAIN = {
    "steps": 120,
    "batch": 256,
    "lr": 0.003,
    "weight_decay": 0.01,
    "lambda": 1.0,
    "tau2": 0.1,
    "noise": 0.016,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
    "hidden": 256,
}
METHODS: dict[str, Callable[..., Maps]] = {
    "exmcr": lambda pools, seed: exmcr(pools, seed, pair=PAIR, train=TRAIN),
    "hop": lambda pools, seed: hop(pools, seed, tau=0.05),
    "asif": lambda pools, seed: asif(pools, seed, keep=100, power=4.0),
    "procrustes": procrustes,
}


@dataclass(frozen=True)
class Condition:
    """What is done to the spaces; norms are relative to a signal of norm 1.

    gap    norm of the offset that each modality of each space has for itself
    cone   norm of the offset that the modalities of a space share: similarities are large, but
           there is no gap
    noise  norm of the private noise of every item
    """

    gap: float = 0.5
    cone: float = 0.0
    noise: float = 0.4


# {factor: its values}; the other factors are as in Condition().
FACTORS: dict[str, tuple[float, ...]] = {
    "gap": (0.0, 0.5, 1.0, 1.5),
    "cone": (0.0, 1.0, 2.0),
    "noise": (0.2, 0.4, 0.8),
}


@dataclass
class Spaces:
    """Pools of unpaired items, and held-out items x (n, d) and y (n, d) of the clusters `labels`
    (n,)."""

    pools: Pools
    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray


def spaces(condition: Condition, seed: int, items: int | None = None) -> Spaces:
    """Synthetic spaces. Pools hold `items` (default: ITEMS) of x and of the overlap, and twice as
    many of y."""
    items = items or ITEMS
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(CLUSTERS, LATENT))
    views = {}
    for space in ("leaf", "base"):
        turn = np.linalg.qr(rng.normal(size=(DIM, LATENT)))[0].T
        views[space] = turn, condition.cone * unit(rng.normal(size=DIM))
    offsets = {part: condition.gap * unit(rng.normal(size=DIM)) for part in PARTS}

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(CLUSTERS, size=count)
        return centers[labels] + 0.5 * rng.normal(size=(count, LATENT)), labels

    def seen(latent: np.ndarray, part: str) -> np.ndarray:
        turn, cone = views[part.split("_")[1]]
        noise = condition.noise * rng.normal(size=(len(latent), DIM)) / DIM**0.5
        private = 0.8 * rng.normal(size=latent.shape)  # what an encoder adds, or misses
        return unit(unit((latent + private) @ turn) + cone + offsets[part] + noise)

    overlap, _ = drawn(items)
    pools = Pools(
        seen(drawn(items)[0], "x_leaf"),
        seen(overlap, "o_leaf"),
        seen(overlap, "o_base"),
        seen(drawn(2 * items)[0], "y_base"),
        {"leaf": "synthetic"},
    )
    tests, labels = drawn(TESTS)
    return Spaces(pools, seen(tests, "x_leaf"), seen(tests, "y_base"), labels)


def cone_of(pools: Pools) -> float:
    """Mean over the four pools of the norm of their mean, 0 to 1."""
    return float(np.mean([np.linalg.norm(mean_of(getattr(pools, part))) for part in PARTS]))


def mean_ap(maps: Maps, world: Spaces) -> float:
    """Mean of both directions of the mAP of x and y; items match if they are of one cluster."""
    similarity = maps.leaf(world.x) @ maps.base(world.y).T
    right = world.labels[:, None] == world.labels
    scores = [
        METRICS["map"].per_query(ranks_of_positives(sims, right), TESTS).mean()
        for sims in (similarity, similarity.T)
    ]
    return float(np.mean(scores))


def conditions() -> list[tuple[str, float, Condition]]:
    """(factor, value, condition) of every value of every factor."""
    return [
        (factor, value, Condition(**{factor: value}))
        for factor, values in FACTORS.items()
        for value in values
    ]


def cones(project: "Project") -> pd.DataFrame:
    """The mAP of every method on every condition, plain and centered. Writes reports/cones.csv.

    Columns: COLUMNS; `cone` is `cone_of` the pools.
    """
    rows, table = [], conditions()
    with tqdm(total=len(table) * len(SEEDS), desc="cones", unit="space") as bar:
        for factor, value, condition in table:
            for seed in SEEDS:
                world = spaces(condition, seed)
                right = (world.labels[:, None] == world.labels).sum(axis=1)
                chance = float(METRICS["map"].chance(right, TESTS).mean())
                for name, fit in METHODS.items():
                    for own in (False, True):
                        maps = (on_centered(fit) if own else fit)(world.pools, seed)
                        keys = (factor, value, cone_of(world.pools), name, own, seed)
                        rows.append((*keys, mean_ap(maps, world), chance))
                bar.update()
    results = pd.DataFrame(rows, columns=COLUMNS)
    with atomic_write(project.reports / "cones.csv") as draft:
        results.to_csv(draft, index=False, float_format="%.6f")
    return results


def measured(project: "Project") -> pd.DataFrame:
    """The cones of the leaves' training pools: columns leaf, one per part (norm of its mean), and
    cone, their mean."""
    rows = []
    for leaf in project.leaves:
        pools = project.pools(leaf)
        norms = {part: float(np.linalg.norm(mean_of(getattr(pools, part)))) for part in PARTS}
        rows.append({"leaf": leaf.name} | norms | {"cone": cone_of(pools)})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame, real: pd.DataFrame | None = None) -> str:
    """mAP in per cent, mean over seeds: one line per condition, "plain / centered" for each method,
    the best of a line in bold; then the cones of the real spaces."""
    methods = list(dict.fromkeys(table.method))
    lines = [f"| condition | cone | {' | '.join(methods)} |", "|---" * (2 + len(methods)) + "|"]
    for (factor, value), part in table.groupby(["factor", "value"], sort=False):
        mean = 100 * part.groupby(["method", "centered"])["map"].mean()
        cells = []
        for name in methods:
            both = (mean[name, own] for own in (False, True))
            marked = (f"**{v:.1f}**" if v == mean.max() else f"{v:.1f}" for v in both)
            cells.append(" / ".join(marked))
        lines.append(f"| {factor} {value:g} | {part.cone.mean():.2f} | {' | '.join(cells)} |")
    text = "\n".join(lines)
    if real is not None and len(real):
        head = f"| leaf | {' | '.join(PARTS)} | cone |\n" + "|---" * (2 + len(PARTS)) + "|"
        values = [
            f"| {row['leaf']} | {' | '.join(f'{row[p]:.2f}' for p in PARTS)} | {row['cone']:.2f} |"
            for _, row in real.iterrows()
        ]
        text += "\n\n" + "\n".join([head, *values])
    return text
