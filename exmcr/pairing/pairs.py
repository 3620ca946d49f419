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
from exmcr.common.vectors import unit
from exmcr.pairing.aggregation import aggregate
from exmcr.pairing.centering import centered
from exmcr.pairing.cones import mean_norms
from exmcr.pairing.pools import PARTS, Pools

Quadruples = dict[str, np.ndarray]
MEND = "run `exmcr pair` or `dvc repro pair`"


def overlap_centered(
    p: Pools, tau: float, device=None, *, normalize_between: bool = True
) -> Quadruples:
    """Query o_i:  x = agg(o_i^L -> X^L),  y = agg(o_i^B -> Y^B). No mean is a query here."""
    (x,) = aggregate(p.o_leaf, p.x_leaf, [p.x_leaf], tau, device)
    (y,) = aggregate(p.o_base, p.y_base, [p.y_base], tau, device)
    return {"x_leaf": x, "o_leaf": p.o_leaf, "o_base": p.o_base, "y_base": y}


def leaf_centered(
    p: Pools, tau: float, device=None, *, normalize_between: bool = True
) -> Quadruples:
    """Query x_i:  w = softmax(x_i O^L / tau);  o^L = w O^L,  o^B = w O^B;  y = agg(o^B -> Y^B)."""
    overlaps = [p.o_leaf, p.o_base]
    means = aggregate(p.x_leaf, p.o_leaf, overlaps, tau, device, normalized=normalize_between)
    (y,) = aggregate(means[1], p.y_base, [p.y_base], tau, device)
    o_leaf, o_base = means if normalize_between else _normalized(means)
    return {"x_leaf": p.x_leaf, "o_leaf": o_leaf, "o_base": o_base, "y_base": y}


def base_centered(
    p: Pools, tau: float, device=None, *, normalize_between: bool = True
) -> Quadruples:
    """Query y_i:  w = softmax(y_i O^B / tau);  o^L = w O^L,  o^B = w O^B;  x = agg(o^L -> X^L)."""
    overlaps = [p.o_leaf, p.o_base]
    means = aggregate(p.y_base, p.o_base, overlaps, tau, device, normalized=normalize_between)
    (x,) = aggregate(means[0], p.x_leaf, [p.x_leaf], tau, device)
    o_leaf, o_base = means if normalize_between else _normalized(means)
    return {"x_leaf": x, "o_leaf": o_leaf, "o_base": o_base, "y_base": p.y_base}


def _normalized(means: list[np.ndarray]) -> list[np.ndarray]:
    try:
        return [unit(mean, "means of overlap items") for mean in means]
    except FloatingPointError as error:
        raise ConfigError(f"{error}: they have no direction") from error


CENTERS = {"overlap": overlap_centered, "leaf": leaf_centered, "base": base_centered}


def quadruples(
    pools: Pools, center: str, tau: float, device=None, *, normalize_between: bool = True
) -> Quadruples:
    """One quadruple per query of this center: {part: float32 (n, d), unit rows}.

    normalize_between: whether the mean w O, which is of norm 1 at most, is normalized before it
    queries the next bank [assumed: the paper does not say]. A shorter query is like a higher
    temperature. Stored vectors are normalized either way.

    Raises ConfigError for an unknown center or tau <= 0.
    """
    if center not in CENTERS:
        raise ConfigError(f"unknown center '{center}'; known: {', '.join(CENTERS)}")
    return CENTERS[center](pools, tau, device, normalize_between=normalize_between)


def build(
    pools: Pools,
    folder: Path,
    centers: list[str],
    tau: float,
    device=None,
    made_from: dict[str, str] | None = None,
    *,
    normalize_between: bool = True,
    subtract_mean: bool = False,
) -> dict[str, int]:
    """Make and store the quadruples of every center, one file each, in place of earlier ones.

    made_from: SHA-256 of the banks by name (Project.banks_of). It is recorded in manifest.json
    beside the files, with the settings, the SHA-256 of each file, and the norms of the means of the
    pools. Files of centers that are not listed are deleted. Returns {center: number of quadruples}.

    subtract_mean: make them of centered pools (exmcr/pairing/centering.py).
    """
    outcome: dict[str, Any] = {"mean_norms": mean_norms(pools)}
    if subtract_mean:
        pools = centered(pools)
    folder.mkdir(parents=True, exist_ok=True)
    for center in CENTERS.keys() - set(centers):
        path_of(folder, center).unlink(missing_ok=True)
    counts, files = {}, {}
    for center in centers:
        made = quadruples(pools, center, tau, device, normalize_between=normalize_between)
        parts = {name: np.ascontiguousarray(rows, dtype=np.float32) for name, rows in made.items()}
        with atomic_write(path_of(folder, center)) as draft:
            save_file(parts, draft)
        counts[center], files[center] = len(parts["x_leaf"]), sha256(path_of(folder, center))
    inputs = _inputs(centers, tau, made_from or {}, normalize_between, subtract_mean)
    outcome |= {"counts": counts, "files": files}
    write_note(folder / "manifest.json", inputs | outcome)
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


def check(
    folder: Path,
    centers: list[str],
    tau: float,
    made_from: dict[str, str],
    *,
    normalize_between: bool = True,
    subtract_mean: bool = False,
) -> None:
    """Raise ConfigError, naming what differs, if quadruples are of other banks or settings."""
    wanted = _inputs(centers, tau, made_from, normalize_between, subtract_mean)
    # Older versions knew nothing else.
    note = {"normalize_between": True, "subtract_mean": False} | _manifest(Path(folder))
    other = [name for name, value in wanted["banks"].items() if note["banks"].get(name) != value]
    other += [name for name in wanted if name != "banks" and note[name] != wanted[name]]
    if other:
        raise ConfigError(
            f"the pseudo-pairs in {folder} are of other inputs ({', '.join(other)}); {MEND}"
        )


def recorded_norms(folder: Path) -> dict[str, float]:
    """{part: norm of the mean of its pool}, as `build` recorded it; {} in files of older versions.
    Raises ConfigError if the record is missing or damaged."""
    return _manifest(Path(folder)).get("mean_norms", {})


def path_of(folder: Path, center: str) -> Path:
    """The file of the quadruples of one center."""
    return folder / f"{center}.safetensors"


def _inputs(
    centers: list[str],
    tau: float,
    made_from: dict[str, str],
    normalize_between: bool,
    subtract_mean: bool,
) -> dict[str, Any]:
    return {
        "centers": list(centers),
        "tau1": tau,
        "normalize_between": normalize_between,
        "subtract_mean": subtract_mean,
        "banks": made_from,
    }


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
