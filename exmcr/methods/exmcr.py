"""Ex-MCR (arXiv:2310.08884) as a method of the comparison: unpaired pools in, maps out."""

import inspect
from collections.abc import Callable
from functools import partial

from exmcr.common.errors import ConfigError
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import centered_once, on_arrays, pseudo_pairs
from exmcr.pairing.pools import Pools
from exmcr.training.centering import absorb_mean
from exmcr.training.fit import fit_projector
from exmcr.training.losses import LOSSES, Loss, loss_named
from exmcr.training.projectors import Projector


def as_maps(projector: Projector) -> Maps:
    """A trained projector as maps: leaf vectors pass through it, the base is unchanged."""
    return Maps(leaf=on_arrays(projector))


def fit(
    pools: Pools,
    seed: int = 0,
    *,
    pair: dict,
    train: dict,
    loss: Callable[..., dict] | None = None,
    weight: float | None = None,
    tau2: float | None = None,
    steps: int | None = None,
    progress: bool = False,
) -> Maps:
    """Make the pseudo-pairs of all chosen centers and train a projector on them.

    pair    {"tau1", "centers"}, "normalize_between" (exmcr.pairing.pairs.quadruples) and
            "subtract_mean" (exmcr.pairing.pairs.build)
    train   settings of exmcr.training.fit.fit_projector
    loss    a function of exmcr.training.losses in place of the one that `train` names
    weight  weight of the term that the loss adds; None for its own default
    tau2, steps  in place of those in `train`

    Raises ConfigError for invalid values.
    """
    chosen = loss or loss_named(train.get("loss", "exmcr"))
    if weight is not None:
        if "weight" not in inspect.signature(chosen).parameters:
            raise ConfigError(f"the loss {chosen.__name__} has no weight to set")
        chosen = partial(chosen, weight=weight)
    given = {"tau2": tau2, "steps": steps}
    settings = train | {name: value for name, value in given.items() if value is not None}
    between = pair.get("normalize_between", True)
    centering = pair.get("subtract_mean", False)
    made_of = centered_once(pools) if centering else pools
    pool = pseudo_pairs(made_of, pair["centers"], pair["tau1"], between)
    projector, _ = fit_projector(pool, settings, seed, progress=progress, loss=chosen)
    return as_maps(absorb_mean(projector, pools.x_leaf) if centering else projector)


def exmcr_settings(params, leaf: str) -> dict:
    """The settings of the stages `pair` and `train` for this leaf."""
    return {"pair": params.pair_settings(), "train": params.train_settings(leaf)}


def _with_loss(loss: Loss) -> Method:
    """Ex-MCR with another inter-space loss."""
    fixed = partial(fit, loss=loss.function)
    if "weight" not in inspect.signature(loss.function).parameters:
        fixed = partial(fixed, weight=None)  # cannot be set in params.yaml
    return Method(fixed, loss.paper, seeded=True, settings=exmcr_settings)


METHODS = {
    "exmcr": Method(fit, "arXiv:2310.08884", seeded=True, settings=exmcr_settings),
    **{f"exmcr-{name}": _with_loss(loss) for name, loss in LOSSES.items() if name != "exmcr"},
}
