"""Ex-MCR (arXiv:2310.08884) as a method beside the others: from unpaired pools to maps, with the settings of params.yaml."""

import inspect
from collections.abc import Callable
from functools import partial

from exmcr import config
from exmcr.errors import ConfigError
from exmcr.methods import Maps
from exmcr.methods.networks import pseudo_pairs
from exmcr.pairs import Pools
from exmcr.pipeline import as_maps, fit_projector
from exmcr.training import ex_mcr_loss


def fit(pools: Pools, seed: int = 0, *, pair: dict, train: dict, loss: Callable = ex_mcr_loss, weight: float | None = None,
        tau2: float | None = None, progress: bool = False) -> Maps:  # fmt: skip
    """Make the pseudo pairs of all chosen centres, train a projector on them -> the leaf's map; the base stays as it is.

    pair: centres, tau1. train: the settings of exmcr.training.train. depth_intra and depth_inter where they
    differ from the authors'. loss: Ex-MCR's, or a drop-in of exmcr.losses; weight: of what it adds, None for its own default.
    tau2: a temperature in place of the one in train. Raises ConfigError for values that cannot be."""
    if weight is not None:
        if "weight" not in inspect.signature(loss).parameters:
            raise ConfigError(f"the loss {loss.__name__} has no weight to set")
        loss = partial(loss, weight=weight)
    settings = train if tau2 is None else train | {"tau2": tau2}
    projector, _ = fit_projector(pseudo_pairs(pools, pair["centres"], pair["tau1"]), settings, seed, progress=progress, loss=loss)
    return as_maps(projector)


def with_params(params: dict) -> Callable[[Pools, int], Maps]:
    """`fit` with the settings of a params.yaml, each leaf with its own: fit(pools, seed) -> Maps."""

    def fit_leaf(pools: Pools, seed: int = 0) -> Maps:
        return fit(pools, seed, pair=params["pair"], train=config.train_settings(params, pools.names["leaf"]))

    return fit_leaf
