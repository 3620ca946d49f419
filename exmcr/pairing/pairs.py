"""Pseudo-pairs: quadruples (x^L, o^L, o^B, y^B) from unpaired banks. arXiv:2310.08884, section 3.

Leaf L has its own modality x and shares the overlap modality o with the base B, which also has a
modality y. O^L and O^B embed the same overlap items, row by row; nothing else links the two spaces.
Each center queries with one bank and aggregates the others.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, read_note, write_note
from exmcr.common.hashing import check_file, digest, sha256
from exmcr.pairing.aggregation import aggregate
from exmcr.pairing.pools import PARTS, Pools

Quadruples = dict[str, np.ndarray]
MEND = "run `exmcr pair` or `dvc repro pair`"


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
    pools: Pools,
    folder: Path,
    centers: list[str],
    tau: float,
    device=None,
    made_from: dict[str, str] | None = None,
) -> dict[str, int]:
    """Make and store the quadruples of every center, one file each, in place of earlier ones.

    made_from: SHA-256 of the banks by name (Project.banks_of), recorded in manifest.json beside the
    files with tau, centers and the SHA-256 of each file. Files of centers that are not listed are
    deleted. Returns {center: number of quadruples}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for center in CENTERS.keys() - set(centers):
        path_of(folder, center).unlink(missing_ok=True)
    counts, files = {}, {}
    for center in centers:
        parts = {
            name: np.ascontiguousarray(rows, dtype=np.float32)
            for name, rows in quadruples(pools, center, tau, device).items()
        }
        with atomic_write(path_of(folder, center)) as draft:
            save_file(parts, draft)
        counts[center], files[center] = len(parts["x_leaf"]), sha256(path_of(folder, center))
    inputs = _inputs(centers, tau, made_from or {})
    write_note(folder / "manifest.json", inputs | {"counts": counts, "files": files})
    return counts


def load(folder: Path, centers: list[str]) -> dict[str, torch.Tensor]:
    """The union of the stored quadruples of these centers: {part: float32 tensor (n, d)}.

    Raises ConfigError if a file is missing, or is not the one that `build` wrote.
    """
    folder = Path(folder)
    files, parts = _files(folder, centers), []
    for center in centers:
        check_file(path_of(folder, center), files[center], MEND)
        parts.append(load_file(path_of(folder, center)))
    return union(parts)


def files_digest(folder: Path, centers: list[str]) -> str:
    """SHA-256 hex digest of the recorded hashes of these centers, in their order.

    `load` compares the files themselves with them. Raises ConfigError if a record is missing.
    """
    files = _files(Path(folder), centers)
    return digest(*(files[center] for center in centers))


def check(folder: Path, centers: list[str], tau: float, made_from: dict[str, str]) -> None:
    """Raise ConfigError, naming what differs, if quadruples are of other banks or settings."""
    note, wanted = _manifest(Path(folder)), _inputs(centers, tau, made_from)
    other = [name for name, value in wanted["banks"].items() if note["banks"].get(name) != value]
    other += [name for name in ("centers", "tau1") if note[name] != wanted[name]]
    if other:
        raise ConfigError(
            f"the pseudo-pairs in {folder} are of other inputs ({', '.join(other)}); {MEND}"
        )


def path_of(folder: Path, center: str) -> Path:
    """The file of the quadruples of one center."""
    return folder / f"{center}.safetensors"


def _inputs(centers: list[str], tau: float, made_from: dict[str, str]) -> dict[str, Any]:
    return {"tau1": tau, "centers": list(centers), "banks": made_from}


def _files(folder: Path, centers: list[str]) -> dict[str, str]:
    files = _manifest(folder)["files"]
    if missing := [center for center in centers if center not in files]:
        raise ConfigError(f"no pseudo-pairs at {path_of(folder, missing[0])}; {MEND}")
    return files


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise ConfigError(f"no pseudo-pairs at {folder}; {MEND}")
    try:
        return read_note(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}; {MEND}") from error


def union(parts: list[Quadruples]) -> dict[str, torch.Tensor]:
    """Stack the quadruples of several centers."""
    return {
        name: torch.from_numpy(np.concatenate([np.asarray(p[name], np.float32) for p in parts]))
        for name in PARTS
    }
