"""`exmcr results`: the results table of a project as Markdown, as it stands in the README."""

import pandas as pd

from exmcr import config
from exmcr.errors import ConfigError
from exmcr.evaluation.table import over_seeds

SHOWN = ("direct", "lstsq", "procrustes", "hop", "exmcr", "leaf", "base")


def markdown(table: pd.DataFrame, split: str = "all") -> str:
    """One line per task; R@1 / mAP in per cent for each method, the standard deviation over seeds behind Ex-MCR's."""
    mean = over_seeds(table[table.split == split])
    methods = [m for m in SHOWN if m in set(mean.method)]
    lines = [f"| task | queries x gallery | chance | {' | '.join(methods)} |", "|---" * (3 + len(methods)) + "|"]
    for task, part in mean.groupby("task", sort=False):
        first = part.iloc[0]
        cells = [task, f"{first.n_queries:.0f} x {first.n_gallery:.0f}", f"{100 * first.chance_r1:.1f} / {100 * first.chance_map:.1f}"]
        by_method = part.set_index("method")
        for method in methods:
            if method not in by_method.index:
                cells.append("")
                continue
            row = by_method.loc[method]
            r1, ap = f"{100 * row.r1:.1f}", f"{100 * row['map']:.1f}"
            if row.seeds > 1:
                r1, ap = f"{r1}±{100 * row.r1_sd:.1f}", f"{ap}±{100 * row.map_sd:.1f}"
            cells.append(f"{r1} / {ap}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def add_arguments(parser) -> None:
    parser.add_argument("--split", default="all", choices=("all", "seen", "unseen"), help="which test queries (default: all)")


def run(arguments) -> int:
    """`exmcr results`. Raises ConfigError when the project has no results yet."""
    path = config.project_root() / "reports/results.csv"
    if not path.is_file():
        raise ConfigError(f"no results at {path}; run 'make repro'")
    print(markdown(pd.read_csv(path), arguments.split))
    return 0
