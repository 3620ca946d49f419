"""The projectors of a model as files for the authors' code."""

from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.model.exmcr import ExMCR
from exmcr.model.files import OFFICIAL
from exmcr.model.parts import Base, Leaf
from exmcr.training import projectors


def write_official(model: ExMCR, folder: str | Path, seed: int | None = None) -> list[Path]:
    """Write one seed of every leaf (default: the first) as ex_clap.pt and ex_ulip.pt.

    The authors' inference code runs these files unchanged: float32, flat state dicts. Returns the
    paths. Raises ConfigError, before anything is written, for a leaf that is not from their
    encoders, an unknown seed, two leaves of one file, or another architecture than theirs.
    """
    files = {space: file for file, space, _ in OFFICIAL.values()}
    chosen: dict[Path, projectors.Projector] = {}
    for leaf in model.leaves.values():
        _check_spaces(leaf, model.base, list(files))
        projector, theirs = leaf.projector(seed), projectors.Projector().architecture
        if projector.architecture != theirs:
            raise ConfigError(
                f"the authors' code runs projectors of {theirs}; that of leaf '{leaf.name}' has "
                f"{projector.architecture}"
            )
        path = Path(folder) / files[leaf.space]
        if path in chosen:
            raise ConfigError(
                f"two leaves from {leaf.space} would both be {path.name}; choose one with --leaf"
            )
        chosen[path] = projector
    for path, projector in chosen.items():
        projectors.save(projector, path)
    return list(chosen)


def _check_spaces(leaf: Leaf, base: Base, known: list[str]) -> None:
    if leaf.space not in known or base.space != "clip":
        raise ConfigError(
            f"the authors' code runs {', '.join(known)} into clip, not '{leaf.space}' into "
            f"'{base.space}'"
        )
