"""`exmcr export`: the projectors of a project as one folder for ExMCR.load, or as the files of the authors' code."""

from pathlib import Path

from exmcr import config, projectors
from exmcr.errors import ConfigError
from exmcr.model import ExMCR
from exmcr.model_files import OFFICIAL


def write_official(model: ExMCR, folder: str | Path, seed: int | None = None) -> list[Path]:
    """One seed of every leaf as `ex_clap.pt` and `ex_ulip.pt` (float32, flat state dicts): the authors' inference code
    runs them unchanged. Returns the paths.

    Raises ConfigError for a leaf that is not from their encoders, or whose sizes their network does not have."""
    folder = Path(folder)
    known = {space: file for file, space, _ in OFFICIAL.values()}
    chosen = {}
    for leaf in model.leaves.values():
        if leaf.space not in known or model.base.space != "clip":
            raise ConfigError(f"the authors' code runs {', '.join(known)} into clip, not '{leaf.space}' into '{model.base.space}'")
        seed_used = next(iter(leaf.projectors)) if seed is None else seed
        if seed_used not in leaf.projectors:
            raise ConfigError(f"leaf '{leaf.name}' has no projector of seed {seed_used}, only of {', '.join(map(str, leaf.projectors))}")
        projector = leaf.projectors[seed_used]
        sizes = leaf.dim, projector.Head2.mlp1.net1[0].out_features, model.base.dim
        if sizes != (projectors.DIM, projectors.HIDDEN, projectors.DIM):
            raise ConfigError(f"the authors' network has the sizes {projectors.DIM}, {projectors.HIDDEN}, {projectors.DIM}; leaf '{leaf.name}' has {sizes}")
        chosen[folder / known[leaf.space]] = projector
    for path, projector in chosen.items():
        projectors.save(projector, path)
    return list(chosen)


def add_arguments(parser) -> None:
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--project", type=Path, help="folder with params.yaml (default: the one around here)")
    parser.add_argument("--seeds", type=int, nargs="+", help="which seeds (default: all of the project)")
    parser.add_argument("--official", action="store_true", help="ex_clap.pt and ex_ulip.pt, for the authors' code, of the first seed")


def run(arguments) -> int:
    """`exmcr export`. Raises ConfigError when the project has no projectors, or ones that the authors' code cannot run."""
    model = ExMCR.from_project(arguments.project or config.project_root(), arguments.seeds, device="cpu")
    if arguments.official:
        for path in write_official(model, arguments.folder):
            print(path)
    else:
        model.save(arguments.folder)
        print(f"{arguments.folder}: {', '.join(leaf.name for leaf in model.leaves.values())} into {model.base.space}; ExMCR.load reads it")
    return 0
