"""Losses per epoch, of the projectors and of anything else that is trained."""

import pandas as pd

from exmcr.figures.style import panels, store


def loss_curves(table: pd.DataFrame, by: str, lines: str, title: str, path=None):
    """Loss against epoch: one panel per value of the column `by`, one line per value of `lines`.

    table: columns epoch, loss, `by`, `lines` and, if there are several seeds, seed; then a line is
    their mean and a band reaches from their least to their greatest loss.
    """
    groups = list(table[by].unique())
    figure, axes = panels(len(groups), len(groups), 4.2 * len(groups), 3.2)
    for axis, group in zip(axes, groups, strict=True):
        for name, part in table[table[by] == group].groupby(lines, sort=False):
            over = part.groupby("epoch").loss
            mean = over.mean()
            (line,) = axis.plot(mean.index, mean, label=str(name))
            if "seed" in part and part.seed.nunique() > 1:
                band = {"color": line.get_color(), "alpha": 0.2, "lw": 0}
                axis.fill_between(mean.index, over.min(), over.max(), **band)
        axis.set(title=str(group), xlabel="epoch", ylabel="loss")
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    return store(figure, path)


def training_losses(table: pd.DataFrame, path=None):
    """Inter-space and intra-space loss of the projectors per epoch, one panel per leaf.

    table: columns leaf, seed, epoch, inter, intra, as `exmcr.pipeline.train` returns it.
    """
    terms, names = ["inter", "intra"], ["leaf", "seed", "epoch"]
    long = table.melt(id_vars=names, value_vars=terms, var_name="term", value_name="loss")
    title = "Projectors: loss per epoch (band: range over seeds)"
    return loss_curves(long, "leaf", "term", title, path)
