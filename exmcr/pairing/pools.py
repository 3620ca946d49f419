"""The unpaired banks of one leaf."""

from dataclasses import dataclass, field

import numpy as np

from exmcr.common.errors import ConfigError

PARTS = ("x_leaf", "o_leaf", "o_base", "y_base")


@dataclass
class Pools:
    """The unpaired banks of one leaf, as float32 unit rows.

    Rows of different banks are unrelated, except that o_leaf[i] and o_base[i] embed the same
    overlap item in the two spaces. Raises ConfigError for an empty pool or shapes that do not
    match.
    """

    x_leaf: np.ndarray  # (nx, d_leaf), the leaf's own modality
    o_leaf: np.ndarray  # (no, d_leaf), the overlap modality
    o_base: np.ndarray  # (no, d_base)
    y_base: np.ndarray  # (ny, d_base), the other modality of the base
    names: dict[str, str] = field(default_factory=dict)  # leaf, x, o, y in words
    ids: dict[str, np.ndarray] = field(default_factory=dict)  # of the rows of x, o, y
    # {"x" | "o" | "y": concept of each row, "" if unknown}. Only the upper bound, which is trained
    # on true pairs, reads them (exmcr/methods/paired.py).
    concepts: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        for part in PARTS:
            if len(getattr(self, part)) == 0:
                raise ConfigError(f"pool {part} of leaf {self.names.get('leaf', '?')} is empty")
        if len(self.o_leaf) != len(self.o_base):
            raise ConfigError(
                f"overlap pools differ: {len(self.o_leaf)} items in the leaf, "
                f"{len(self.o_base)} in the base"
            )
        widths = [getattr(self, part).shape[1] for part in PARTS]
        if widths[0] != widths[1] or widths[2] != widths[3]:
            raise ConfigError("pools of one space differ in dimension")
