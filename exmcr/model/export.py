"""`exmcr export`: the projectors of a project as one folder for ExMCR.load, or as the files of the authors' code."""

from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.model.exmcr import ExMCR
from exmcr.model.files import OFFICIAL
from exmcr.training import projectors


def write_official(model: ExMCR, folder: str | Path, seed: int | None = None) -> list[Path]:
    """One seed of every leaf as `ex_clap.pt` and `ex_ulip.pt` (float32, flat state dicts): the authors' inference code
    runs them unchanged. Returns the paths.

    Raises ConfigError for a leaf that is not from their encoders, or whose sizes their network does not have."""
    folder = Path(folder)
    known = {space: file for file, space, _ in OFFICIAL.values()}
    chosen = {}
    for leaf in model.leaves.values():
        if leaf.space not in known or model.base.space != "clip":
            raise ConfigError(
                f"the authors' code runs {', '.join(known)} into clip, not '{leaf.space}' into '{model.base.space}'"
            )
        seed_used = next(iter(leaf.projectors)) if seed is None else seed
        if seed_used not in leaf.projectors:
            raise ConfigError(
                f"leaf '{leaf.name}' has no projector of seed {seed_used}, only of {', '.join(map(str, leaf.projectors))}"
            )
        projector = leaf.projectors[seed_used]
        found, theirs = projector.architecture, projectors.Projector().architecture
        if found != theirs:
            raise ConfigError(
                f"the authors' network is {theirs}; the projector of leaf '{leaf.name}' is {found}"
            )
        chosen[folder / known[leaf.space]] = projector
    for path, projector in chosen.items():
        projectors.save(projector, path)
    return list(chosen)
