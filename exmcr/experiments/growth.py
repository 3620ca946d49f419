"""How methods grow with the unpaired pools.

One pool at a time is cut to a share of its items: the leaf's own modality (x), the overlap (o), or
the other modality of the base (y). Every method is fitted again on each share and scored on the
emergent tasks. Spaces, tests and the other pools stay as they are. Finished fits are kept in
reports/growth/, as `compare` keeps its own.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.files import atomic_write, write_json
from exmcr.evaluation.bench import Bench
from exmcr.evaluation.metrics import chance
from exmcr.experiments.compare import kept, key_of, measure
from exmcr.methods.registry import check_settings, method_named, seeds_of
from exmcr.pairing.pools import Pools

if TYPE_CHECKING:
    from exmcr.project import Project

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
PARTS = {"x": ("x_leaf",), "o": ("o_leaf", "o_base"), "y": ("y_base",)}  # pool -> its banks
DRAWN = ("procrustes", "ridge", "hop", "asif", "exmcr", "exmcr+")  # methods, if none are given
COLUMNS = ["pool", "share", "items", "method", "seed", "map", "chance_map"]


def cut(pools: Pools, part: str, share: float) -> Pools:
    """The pools with a fixed random sample of one of them; a larger share contains a smaller one.

    part: key of PARTS. share: above 0, at most 1. At least two items are kept.
    """
    total = len(getattr(pools, PARTS[part][0]))
    rows = np.sort(np.random.default_rng(0).permutation(total)[: max(2, round(share * total))])
    changed: dict[str, Any] = {name: getattr(pools, name)[rows] for name in PARTS[part]}
    for labels in ("ids", "concepts"):
        own = getattr(pools, labels)
        if part in own:
            changed[labels] = own | {part: own[part][rows]}
    return replace(pools, **changed)


def growth(project: "Project", names: list[str] | None = None) -> pd.DataFrame:
    """Mean mAP over the emergent tasks for every pool, share, method and seed.

    names: methods (default: DRAWN). Writes reports/growth.csv and returns it; columns COLUMNS,
    `items` being the size of the pool that is cut, over all leaves. Raises ConfigError for an
    unknown method.
    """
    check_settings(project.params)
    names = list(names or DRAWN)
    for name in names:
        method_named(name)
    bench, rows = Bench(project), []
    # The whole pools are the same for all parts. All fits on one cut share its pseudo-pairs.
    cuts = [(part, share) for share in reversed(SHARES) for part in (PARTS if share < 1 else ["x"])]
    fits = [(name, seed) for name in names for seed in seeds_of(project.params, name)]
    inputs, folder = bench.inputs(), project.reports / "growth"
    chosen = {task.name for task in bench.emergent}
    expected = float(np.mean([chance(task.positive)["map"] for task in bench.emergent]))
    bar = tqdm(total=len(cuts) * len(fits), desc="growth", unit="fit")
    for part, share in cuts:
        smaller = bench.with_pools({n: cut(pool, part, share) for n, pool in bench.pools.items()})
        for name, seed in fits:
            bar.set_postfix_str(f"{name}, {share:.0%} of {part}")
            key = key_of(smaller, name, seed, f"{inputs} {part} {share}")
            path = folder / f"{part}-{share:.4f}-{name}-seed{seed}.json"
            record = kept(path, key)
            if record is None:
                record = {"key": key, **measure(smaller, name, seed)}
                write_json(path, record)
            bar.update()
            scores = [float(np.mean(ap)) for task, ap in record["ap"].items() if task in chosen]
            if len(scores) < len(chosen):
                continue  # the method cannot serve every emergent task
            for pool in PARTS if share == 1 else [part]:
                items = sum(len(getattr(p, PARTS[pool][0])) for p in smaller.pools.values())
                rows.append((pool, share, items, name, seed, float(np.mean(scores)), expected))
    bar.close()
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values(
        ["pool", "method", "share", "seed"], ignore_index=True
    )
    with atomic_write(project.reports / "growth.csv") as draft:
        table.to_csv(draft, index=False, float_format="%.6f")
    return table


def markdown(table: pd.DataFrame) -> str:
    """Mean mAP over seeds in per cent: one line per pool and share, one column per method."""
    mean = table.groupby(["pool", "share", "items", "method"], as_index=False)["map"].mean()
    cells = 100 * mean.pivot(index=["pool", "share", "items"], columns="method", values="map")
    lines = ["| pool | share | items | " + " | ".join(cells.columns) + " |"]
    lines.append("|---" * (3 + len(cells.columns)) + "|")
    for (pool, share, items), row in cells.iterrows():
        values = " | ".join(f"{value:.1f}" for value in row)
        lines.append(f"| {pool} | {share:.1%} | {items} | {values} |")
    return "\n".join(lines)
