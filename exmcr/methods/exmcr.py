"""Ex-MCR (arXiv:2310.08884) as a method beside the others: from unpaired pools to maps, with the settings of params.yaml."""

from exmcr.methods import Maps
from exmcr.methods.networks import pseudo_pairs
from exmcr.pairs import Pools
from exmcr.pipeline import as_maps, fit_projector


def fit(pools: Pools, seed: int = 0, *, pair: dict, train: dict, progress: bool = False, **options) -> Maps:
    """Make the pseudo pairs of all chosen centres, train a projector on them -> the leaf's map; the base stays as it is.

    pair: centres, tau1. train: the settings of exmcr.training.train. depth_intra and depth_inter where they
    differ from the authors'. options go there too: `loss`, for instance. Raises ConfigError for values that cannot be."""
    projector, _ = fit_projector(pseudo_pairs(pools, pair["centres"], pair["tau1"]), train, seed, progress=progress, **options)
    return as_maps(projector)
