"""What an ExMCR is made of, and where it comes from and goes to: a trained project, the authors' files, a folder of its own.

A model in a folder is two files: exmcr.safetensors (the projectors of every leaf and seed, `<leaf>/<seed>/<parameter>`) and
exmcr.json (the spaces they were trained on, with fingerprints, and how)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save_file

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import sha256
from exmcr.project import Project
from exmcr.spaces import space_class, weights
from exmcr.training import projectors
from exmcr.training.projectors import Projector

FORMAT = "exmcr 1"
OFFICIAL = {
    "audio": ("ex_clap.pt", "clap", "text"),
    "points": ("ex_ulip.pt", "ulip2", "image"),
}  # modality: file, space, overlap
NOTE = (
    "leaf_space",
    "base_space",
    "leaf_fingerprint",
    "base_fingerprint",
    "pair",
    "train",
)  # beside a projector


@dataclass
class Base:
    """The frozen space that everything is brought into."""

    space: str  # registry name
    fingerprint: str  # of the encoder the projectors were trained towards; "" where the weights do not tell (the authors')
    dim: int
    modalities: tuple[str, ...]


@dataclass
class Leaf:
    """A frozen space with the projectors that bring one modality of it into the base."""

    name: str
    modality: str
    overlap: str  # the modality it shares with the base
    space: str
    fingerprint: str
    dim: int
    projectors: dict[int, Projector]  # by seed
    training: dict = field(default_factory=dict)  # the parameters that made them


def of_project(
    project: Project | str | Path, seeds: Iterable[int] | None = None
) -> tuple[Base, list[Leaf], dict[str, dict]]:
    """What a project trained, and the options of its encoders by registry name. Raises ConfigError as ExMCR.from_project."""
    project = project if isinstance(project, Project) else Project(project)
    params = project.params
    seeds = list(params.seeds if seeds is None else seeds)
    if not seeds:
        raise ConfigError("a model needs at least one seed")
    leaves, bases = [], {}
    for leaf in project.leaves:
        made, notes = {}, {}
        for seed in seeds:
            path = project.projector_path(leaf.name, seed)
            made[seed], notes[seed] = (
                projectors.load(path),
                _read_json(path.with_suffix(".json"), NOTE),
            )
        seed = seeds[0]
        note, space = notes[seed], params.leaf_space(leaf)
        if len({(n["leaf_fingerprint"], n["base_fingerprint"]) for n in notes.values()}) > 1:
            raise ConfigError(
                f"the seeds of leaf '{leaf['name']}' were trained on different encoders; run the train stage again"
            )
        if (note["leaf_space"], note["base_space"]) != (space, params.base_space):
            raise ConfigError(
                f"the projector of leaf '{leaf['name']}' was trained from '{note['leaf_space']}' into '{note['base_space']}', "
                f"params.yaml asks for '{space}' into '{params.base_space}'; run the train stage again"
            )
        bases[leaf.name] = note["base_fingerprint"]
        leaves.append(
            Leaf(
                leaf.name,
                leaf.modality,
                leaf.overlap,
                space,
                note["leaf_fingerprint"],
                made[seed].dim,
                made,
                {"pair": note["pair"], "train": note["train"]},
            )
        )
    if len(set(bases.values())) > 1:
        raise ConfigError(
            f"leaves were trained towards different base encoders: {bases}; run the train stage again"
        )
    name = params.base_space
    base = Base(
        name,
        bases[leaves[0].name],
        next(iter(leaves[0].projectors.values())).out,
        space_class(name).modalities,
    )
    chosen = {
        space: params.encoder_options(space) | {"root": project.root}
        for space in (name, *(leaf.space for leaf in leaves))
    }
    return base, leaves, chosen


def official(
    folder: str | Path | None = None, modalities: Iterable[str] = tuple(OFFICIAL)
) -> tuple[Base, list[Leaf]]:
    """The authors' Ex-MCR. Raises ConfigError as ExMCR.from_official."""
    leaves = []
    for modality in modalities:
        if modality not in OFFICIAL:
            raise ConfigError(
                f"the authors' model extends {' and '.join(OFFICIAL)}, not '{modality}'"
            )
        file, space, overlap = OFFICIAL[modality]
        path = Path(folder or weights.folder()) / file
        if not path.is_file():
            raise ConfigError(
                f"no projector {path}: take it from {weights.named(file).page}; see `exmcr weights`"
            )
        projector = projectors.load(path)
        leaves.append(
            Leaf(
                modality,
                modality,
                overlap,
                space,
                "",
                projector.dim,
                {0: projector},
                {"source": file, "sha256": sha256(path)},
            )
        )
    return Base("clip", "", projectors.DIM, ("image", "text")), leaves


def write(folder: str | Path, base: Base, leaves: list[Leaf]) -> Path:
    """exmcr.safetensors and exmcr.json in `folder`, in place of a model that is there. Returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for leaf in leaves:
        for seed, projector in leaf.projectors.items():
            state |= {
                f"{leaf.name}/{seed}/{name}": tensor.cpu().contiguous()
                for name, tensor in projector.state_dict().items()
            }
    with atomic_write(folder / "exmcr.safetensors") as draft:
        save_file(state, draft)
    content = {
        "format": FORMAT,
        "weights_sha256": sha256(folder / "exmcr.safetensors"),
        "base": {
            "space": base.space,
            "fingerprint": base.fingerprint,
            "dim": base.dim,
            "modalities": list(base.modalities),
        },
        "leaves": [
            {
                "name": leaf.name,
                "modality": leaf.modality,
                "overlap": leaf.overlap,
                "space": leaf.space,
                "fingerprint": leaf.fingerprint,
                "dim": leaf.dim,
                "seeds": list(leaf.projectors),
                "training": leaf.training,
            }
            for leaf in leaves
        ],
    }
    write_json(folder / "exmcr.json", content)
    return folder


def read(folder: str | Path) -> tuple[Base, list[Leaf]]:
    """What `write` wrote. Raises ConfigError when a file is missing, damaged, or not of this model."""
    folder = Path(folder)
    tensors = folder / "exmcr.safetensors"
    content = _read_json(folder / "exmcr.json", ("format",))
    if content.get("format") != FORMAT:
        raise ConfigError(
            f"{folder / 'exmcr.json'} is of format {content.get('format')!r}, this version reads {FORMAT!r}"
        )
    state = checkpoints.load(tensors)
    if sha256(tensors) != content.get("weights_sha256"):
        raise ConfigError(
            f"{tensors} is not the file that exmcr.json beside it describes; export the model again"
        )
    try:
        leaves = []
        for entry in content["leaves"]:
            made = {}
            for seed in entry["seeds"]:
                prefix = f"{entry['name']}/{seed}/"
                made[seed] = projectors.from_state(
                    {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
                )
            leaves.append(Leaf(**{k: v for k, v in entry.items() if k != "seeds"}, projectors=made))
        base = Base(**content["base"] | {"modalities": tuple(content["base"]["modalities"])})
    except (KeyError, TypeError, RuntimeError) as error:
        raise ConfigError(
            f"{folder} does not hold a whole model: {error}; export it again"
        ) from error
    return base, leaves


def _read_json(path: Path, needed: tuple[str, ...]) -> dict:
    if not path.is_file():
        raise ConfigError(
            f"no {path}; a model is made by `exmcr export`, a projector's note by the train stage"
        )
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict) or not all(name in content for name in needed):
        raise ConfigError(f"{path} is damaged or of an older version: it needs {', '.join(needed)}")
    return content
