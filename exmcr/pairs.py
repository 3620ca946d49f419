"""Pseudo pairs: quadruples (x^L, o^L, o^B, y^B) put together from unpaired banks. arXiv:2310.08884, section 3.

Leaf L has a modality x of its own and the overlap o; the base B has o and another modality y. O^L and O^B are the same
items in both spaces. Each centre asks with one bank and fills in the others by softmax aggregation:

overlap  query o_i:  x = agg(o_i^L -> X^L),  y = agg(o_i^B -> Y^B)
leaf     query x_i:  w = softmax(x_i O^L / tau),  o^L = w O^L,  o^B = w O^B,  then y = agg(o^B -> Y^B)
base     query y_i:  w = softmax(y_i O^B / tau),  o^B = w O^B,  o^L = w O^L,  then x = agg(o^L -> X^L)"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from exmcr.aggregate import aggregate
from exmcr.config import CENTRES
from exmcr.errors import ConfigError

PARTS = ("x_leaf", "o_leaf", "o_base", "y_base")


@dataclass
class Pools:
    """The unpaired banks of one leaf, as float32 unit rows. o_leaf[i] and o_base[i] are the same item."""

    x_leaf: np.ndarray  # (nx, d_leaf)
    o_leaf: np.ndarray  # (no, d_leaf)
    o_base: np.ndarray  # (no, d_base)
    y_base: np.ndarray  # (ny, d_base)
    names: dict[str, str] = field(default_factory=dict)  # leaf, x, o, y in words

    def __post_init__(self):
        """Raises ConfigError for an empty pool or pools that do not fit together."""
        for part in PARTS:
            if len(getattr(self, part)) == 0:
                raise ConfigError(f"pool {part} of leaf {self.names.get('leaf', '?')} is empty")
        if len(self.o_leaf) != len(self.o_base):
            raise ConfigError(f"overlap pools differ: {len(self.o_leaf)} items in the leaf, {len(self.o_base)} in the base")
        if self.x_leaf.shape[1] != self.o_leaf.shape[1] or self.y_base.shape[1] != self.o_base.shape[1]:
            raise ConfigError("pools of one space differ in dimension")


def quadruples(pools: Pools, centre: str, tau: float, device=None) -> dict[str, np.ndarray]:
    """One quadruple per query of this centre: {part: float32 (n, d), unit rows}.

    Raises ConfigError for an unknown centre or tau <= 0."""

    def agg(queries, keys, values=None):
        result = aggregate(queries, keys, keys if values is None else values, tau, device=device).values
        return result[0] if values is None else result

    p = pools
    if centre == "overlap":
        return {"x_leaf": agg(p.o_leaf, p.x_leaf), "o_leaf": p.o_leaf, "o_base": p.o_base, "y_base": agg(p.o_base, p.y_base)}
    if centre == "leaf":
        o_leaf, o_base = agg(p.x_leaf, p.o_leaf, [p.o_leaf, p.o_base])
        return {"x_leaf": p.x_leaf, "o_leaf": o_leaf, "o_base": o_base, "y_base": agg(o_base, p.y_base)}
    if centre == "base":
        o_leaf, o_base = agg(p.y_base, p.o_base, [p.o_leaf, p.o_base])
        return {"x_leaf": agg(o_leaf, p.x_leaf), "o_leaf": o_leaf, "o_base": o_base, "y_base": p.y_base}
    raise ConfigError(f"unknown centre '{centre}'; known: {', '.join(CENTRES)}")


def build(pools: Pools, folder: Path, centres: list[str], tau: float, device=None) -> dict[str, int]:
    """Make and store the quadruples of every centre, one file each, in place of those that are there.

    Returns {centre: number of quadruples}."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for stale in set(p.stem for p in folder.glob("*.safetensors")) - set(centres):
        (folder / f"{stale}.safetensors").unlink()
    for centre in centres:
        made = quadruples(pools, centre, tau, device)
        part = folder / f"{centre}.part"
        save_file({k: np.ascontiguousarray(v, dtype=np.float32) for k, v in made.items()}, part)
        part.rename(folder / f"{centre}.safetensors")
        counts[centre] = len(made["x_leaf"])
    return counts


def load(folder: Path, centres: list[str]) -> dict[str, torch.Tensor]:
    """The union of the stored pools of these centres: {part: float32 tensor (n, d)}. Raises ConfigError when one is missing."""
    pools = []
    for centre in centres:
        path = Path(folder) / f"{centre}.safetensors"
        if not path.is_file():
            raise ConfigError(f"no pseudo pairs at {path}; run the pair stage (notebooks/02_pair.ipynb)")
        pools.append(load_file(path))
    return union(pools)


def union(pools: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack quadruples of several centres."""
    return {part: torch.from_numpy(np.concatenate([np.asarray(p[part], np.float32) for p in pools])) for part in PARTS}
