"""Methods on synthetic spaces with gaps, cones and noise, plain and centered."""

import numpy as np
import pandas as pd

from exmcr.evaluation.metrics import metric
from exmcr.figures.style import method_colors, panels, store

TITLES = {
    "gap": "gap: an offset for each modality",
    "cone": "cone: an offset that modalities share",
    "noise": "private noise of items",
}


def cones(table: pd.DataFrame, real: pd.DataFrame | None = None, path=None):
    """mAP against the strength of each factor, and against the cone measured in the pools.

    table  that of exmcr.experiments.cones.cones; solid lines are plain fits, dashed ones centered
    real   that of exmcr.experiments.cones.measured: each leaf is a vertical line at its cone in the
           last panel
    """
    factors = list(dict.fromkeys(table.factor))
    colors = method_colors(table.method)
    count = len(factors) + 1
    figure, axes = panels(count, count, 3.4 * count, 3.8)
    for axis, factor in zip(axes, factors, strict=False):
        part = table[table.factor == factor]
        for (name, own), line in part.groupby(["method", "centered"], sort=False):
            over = (100 * line.set_index("value")["map"]).groupby(level=0)
            mean = over.mean()
            style = {"ls": "--" if own else "-", "color": colors[str(name)], "ms": 4}
            axis.plot(mean.index, mean, marker="o", **style)
            band = {"color": colors[str(name)], "alpha": 0.12, "lw": 0}
            axis.fill_between(mean.index, over.min(), over.max(), **band)
        axis.axhline(100 * part.chance_map.mean(), color="black", lw=1, ls=":")
        axis.set_ylim(0, 100)
        axis.set_title(TITLES.get(factor, factor), fontsize=9)
        axis.set_xlabel("norm, of a signal of norm 1", fontsize=9)
    _against_cone(axes[-1], table[table.factor != "noise"], real, colors)
    axes[0].set_ylabel(f"{metric('map').label} (%), both directions", fontsize=9)
    handles = [axes[0].plot([], [], color=color, label=name)[0] for name, color in colors.items()]
    handles += [axes[0].plot([], [], color="black", label="plain")[0]]
    handles += [axes[0].plot([], [], color="black", ls="--", label="centered")[0]]
    axes[0].legend(handles=handles, frameon=False, fontsize=8, loc="lower left")
    figure.suptitle("Centering restores what gaps and cones take (dotted: chance)", fontsize=11)
    return store(figure, path)


def _against_cone(axis, table: pd.DataFrame, real: pd.DataFrame | None, colors: dict) -> None:
    """What centering gains, over all conditions, against the measured cone."""
    wide = table.pivot_table(
        index=["factor", "value", "cone", "seed", "method"], columns="centered", values="map"
    ).reset_index()
    for name, part in wide.groupby("method", sort=False):
        part = part.sort_values("cone")
        style = {"color": colors[str(name)], "s": 12, "alpha": 0.8}
        axis.scatter(part.cone, 100 * (part[True] - part[False]), **style)
    axis.axhline(0, color="black", lw=1)
    for place, (_, row) in enumerate([] if real is None else real.iterrows()):
        axis.axvline(row["cone"], color="gray", lw=1, ls="--")
        at = {"xy": (row["cone"], 0.97 - 0.07 * place), "xycoords": ("data", "axes fraction")}
        axis.annotate(f" {row['leaf']} leaf", color="gray", fontsize=8, va="top", **at)
    axis.set_xlim(0, 1)
    axis.set_xticks(np.linspace(0, 1, 6))
    axis.set_title("points of mAP gained by centering", fontsize=9)
    axis.set_xlabel("cone of the pools: norm of their means", fontsize=9)
