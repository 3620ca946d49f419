"""Pseudo-pairs: quadruples (x^L, o^L, o^B, y^B) from unpaired banks. arXiv:2310.08884, section 3.

Leaf L has its own modality x and shares the overlap modality o with the base B, which also has a
modality y. O^L and O^B embed the same overlap items, row by row; nothing else links the two spaces.
Each center queries with one bank and aggregates the others.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.common.hashing import digest
from exmcr.pairing.aggregation import aggregate
from exmcr.pairing.pools import PARTS, Pools

Quadruples = dict[str, np.ndarray]


def overlap_centered(p: Pools, tau: float, device=None) -> Quadruples:
    """Query o_i:  x = agg(o_i^L -> X^L),  y = agg(o_i^B -> Y^B)."""
    (x,) = aggregate(p.o_leaf, p.x_leaf, [p.x_leaf], tau, device)
    (y,) = aggregate(p.o_base, p.y_base, [p.y_base], tau, device)
    return {"x_leaf": x, "o_leaf": p.o_leaf, "o_base": p.o_base, "y_base": y}


def leaf_centered(p: Pools, tau: float, device=None) -> Quadruples:
    """Query x_i:  w = softmax(x_i O^L / tau);  o^L = w O^L,  o^B = w O^B;  y = agg(o^B -> Y^B)."""
    o_leaf, o_base = aggregate(p.x_leaf, p.o_leaf, [p.o_leaf, p.o_base], tau, device)
    (y,) = aggregate(o_base, p.y_base, [p.y_base], tau, device)
    return {"x_leaf": p.x_leaf, "o_leaf": o_leaf, "o_base": o_base, "y_base": y}


def base_centered(p: Pools, tau: float, device=None) -> Quadruples:
    """Query y_i:  w = softmax(y_i O^B / tau);  o^L = w O^L,  o^B = w O^B;  x = agg(o^L -> X^L)."""
    o_leaf, o_base = aggregate(p.y_base, p.o_base, [p.o_leaf, p.o_base], tau, device)
    (x,) = aggregate(o_leaf, p.x_leaf, [p.x_leaf], tau, device)
    return {"x_leaf": x, "o_leaf": o_leaf, "o_base": o_base, "y_base": p.y_base}


CENTERS = {"overlap": overlap_centered, "leaf": leaf_centered, "base": base_centered}


def quadruples(pools: Pools, center: str, tau: float, device=None) -> Quadruples:
    """One quadruple per query of this center: {part: float32 (n, d), unit rows}.

    Raises ConfigError for an unknown center or tau <= 0.
    """
    if center not in CENTERS:
        raise ConfigError(f"unknown center '{center}'; known: {', '.join(CENTERS)}")
    return CENTERS[center](pools, tau, device)


def build(
    pools: Pools, folder: Path, centers: list[str], tau: float, device=None
) -> dict[str, int]:
    """Make and store the quadruples of every center, one file each, in place of earlier ones.

    Files of centers that are not listed are deleted. Returns {center: number of quadruples}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.safetensors"):
        if path.stem not in centers:
            path.unlink()
    counts = {}
    for center in centers:
        parts = {
            name: np.ascontiguousarray(rows, dtype=np.float32)
            for name, rows in quadruples(pools, center, tau, device).items()
        }
        with atomic_write(folder / f"{center}.safetensors") as draft:
            save_file(parts, draft)
        counts[center] = len(parts["x_leaf"])
    return counts


def load(folder: Path, centers: list[str]) -> dict[str, torch.Tensor]:
    """The union of the stored quadruples of these centers: {part: float32 tensor (n, d)}.

    Raises ConfigError if a file is missing.
    """
    parts = []
    for center in centers:
        path = Path(folder) / f"{center}.safetensors"
        if not path.is_file():
            raise ConfigError(f"no pseudo-pairs at {path}; run `exmcr pair` or `dvc repro pair`")
        parts.append(load_file(path))
    return union(parts)


def files_digest(folder: Path, centers: list[str]) -> str:
    """SHA-256 hex digest of the stored quadruples of these centers. Raises OSError if missing."""
    return digest(*(Path(folder) / f"{center}.safetensors" for center in centers))


def union(parts: list[Quadruples]) -> dict[str, torch.Tensor]:
    """Stack the quadruples of several centers."""
    return {
        name: torch.from_numpy(np.concatenate([np.asarray(p[name], np.float32) for p in parts]))
        for name in PARTS
    }
