"""Ex-MCR (arXiv:2310.08884) as a method of the comparison: unpaired pools in, maps out."""

import inspect
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from exmcr.common.errors import ConfigError
from exmcr.methods.maps import Maps
from exmcr.methods.networks import pseudo_pairs
from exmcr.pairing.pools import Pools
from exmcr.training.fit import fit_projector
from exmcr.training.projectors import Projector


def as_maps(projector: Projector) -> Maps:
    """A trained projector as maps: leaf vectors pass through it, the base is unchanged."""

    @torch.no_grad()
    def leaf(vectors: np.ndarray) -> np.ndarray:
        return projector(torch.from_numpy(np.array(vectors, dtype=np.float32))).numpy()

    return Maps(leaf=leaf)


def fit(
    pools: Pools,
    seed: int = 0,
    *,
    pair: dict,
    train: dict,
    loss: Callable | None = None,
    weight: float | None = None,
    tau2: float | None = None,
    progress: bool = False,
) -> Maps:
    """Make the pseudo-pairs of all chosen centers and train a projector on them.

    pair    {"tau1", "centers"}
    train   settings of exmcr.training.fit.fit_projector
    loss    a function of exmcr.training.losses in place of the one that `train` names
    weight  weight of the term that this loss adds; None for its own default
    tau2    temperature in place of the one in `train`

    Raises ConfigError for invalid values.
    """
    options: dict = {}
    if loss is not None:
        if weight is not None:
            if "weight" not in inspect.signature(loss).parameters:
                raise ConfigError(f"the loss {loss.__name__} has no weight to set")
            loss = partial(loss, weight=weight)
        options["loss"] = loss
    settings = train if tau2 is None else train | {"tau2": tau2}
    pool = pseudo_pairs(pools, pair["centers"], pair["tau1"])
    projector, _ = fit_projector(pool, settings, seed, progress=progress, **options)
    return as_maps(projector)
