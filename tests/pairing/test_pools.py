"""The unpaired banks of a leaf are checked before anything is computed from them."""

import numpy as np
import pytest

from exmcr.common.errors import ConfigError
from exmcr.pairing.pools import PARTS, Pools


@pytest.fixture
def pools():
    shapes = {"x_leaf": (30, 8), "o_leaf": (40, 8), "o_base": (40, 6), "y_base": (50, 6)}
    rng = np.random.default_rng(0)
    return Pools(**{part: rng.normal(size=shape) for part, shape in shapes.items()})


def test_pools_that_do_not_fit_are_refused(pools):
    whole = {part: getattr(pools, part) for part in PARTS}
    for part in PARTS:
        with pytest.raises(ConfigError, match=f"{part} of leaf audio is empty"):
            Pools(**whole | {part: whole[part][:0]}, names={"leaf": "audio"})
    with pytest.raises(ConfigError, match="39 items in the leaf, 40 in the base"):
        Pools(**whole | {"o_leaf": pools.o_leaf[1:]})
    for part in ("x_leaf", "y_base"):
        with pytest.raises(ConfigError, match="dimension"):
            Pools(**whole | {part: whole[part][:, 1:]})
    with pytest.raises(ConfigError, match=r"leaf \? is empty"):
        Pools(**whole | {"x_leaf": whole["x_leaf"][:0]})
