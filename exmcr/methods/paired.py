"""The upper bound with pairs: the projector and loss of Ex-MCR, trained on true pairs.

Everything else in the comparison is trained without a single pair of the leaf's modality x and the
other modality y of the base. This row shows what such pairs would be worth: a quadruple holds an
item x, and a text o and an item y of the same concept. It is no competitor.
"""

import numpy as np

from exmcr.methods.exmcr import as_maps, exmcr_settings
from exmcr.methods.maps import Maps, Method, NotApplicable
from exmcr.pairing.pairs import Quadruples, union
from exmcr.pairing.pools import Pools
from exmcr.training.fit import fit_projector


def true_quadruples(pools: Pools, per_item: int, seed: int) -> Quadruples:
    """`per_item` quadruples for every x whose concept occurs among o and among y.

    o and y are drawn among the items of that concept. Returns {part: float32 (n, d)}. Raises
    NotApplicable if concepts are unknown or no x has a partner.
    """
    rng = np.random.default_rng(seed)
    rows = {part: _rows_of(pools.concepts.get(part, ())) for part in ("o", "y")}
    common = rows["o"].keys() & rows["y"].keys()
    with_partner = [n for n, c in enumerate(pools.concepts.get("x", ())) if c in common]
    if not with_partner:
        raise NotApplicable("no training item has a partner of the same concept")
    x = np.repeat(with_partner, per_item)
    concepts = pools.concepts["x"][x]
    o, y = (np.array([rng.choice(rows[part][c]) for c in concepts]) for part in ("o", "y"))
    return {
        "x_leaf": pools.x_leaf[x],
        "o_leaf": pools.o_leaf[o],
        "o_base": pools.o_base[o],
        "y_base": pools.y_base[y],
    }


def _rows_of(concepts) -> dict[str, list[int]]:
    """{concept: rows of its items}, without the empty concept."""
    found: dict[str, list[int]] = {}
    for row, concept in enumerate(concepts):
        if concept:
            found.setdefault(concept, []).append(row)
    return found


def paired(pools: Pools, seed: int = 0, *, pair: dict, train: dict, per_item: int = 8) -> Maps:
    """Train the projector on `true_quadruples` with the settings of Ex-MCR for this leaf.

    pair      not used: there is nothing to aggregate
    per_item  quadruples for each x

    Raises NotApplicable as `true_quadruples`.
    """
    pool = union([true_quadruples(pools, per_item, seed)])
    projector, _ = fit_projector(pool, train, seed, progress=False)
    return as_maps(projector)


METHODS = {
    "paired": Method(paired, "upper bound: sees true pairs", seeded=True, settings=exmcr_settings)
}
