"""Where models come from: a trained project, the authors' files, a folder that `write` wrote.

A stored model is two files. exmcr.safetensors holds the projectors of every leaf and seed, as
`<leaf>/<seed>/<parameter>`; exmcr.json says which spaces they were trained on, with fingerprints,
and how.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import sha256
from exmcr.model.parts import Base, Leaf
from exmcr.spaces import space_class, weights
from exmcr.training import projectors

if TYPE_CHECKING:
    from exmcr.project import Project

FORMAT = "exmcr 1"
# The authors' projectors: {modality: (file, space, overlap)}.
OFFICIAL = {
    "audio": ("ex_clap.pt", "clap", "text"),
    "points": ("ex_ulip.pt", "ulip2", "image"),
}
# What is needed of the note beside a projector (exmcr/training/stage.py).
NOTE = ("leaf_space", "base_space", "leaf_fingerprint", "base_fingerprint", "pair", "train")


def of_project(
    project: "Project | str | Path", seeds: Iterable[int] | None = None
) -> tuple[Base, list[Leaf], dict[str, dict[str, Any]]]:
    """The base and the leaves that a project trained, and {space: arguments of load_space}.

    Raises ConfigError as ExMCR.from_project.
    """
    # Models that are not of a project do without its dependencies.
    from exmcr.project import Project

    project = project if isinstance(project, Project) else Project(project)
    params = project.params
    chosen = list(params.seeds if seeds is None else seeds)
    if not chosen:
        raise ConfigError("a model needs at least one seed")
    leaves, targets = [], {}
    for leaf in project.leaves:
        part, targets[leaf.name] = _trained(project, leaf, chosen)
        leaves.append(part)
    if len(set(targets.values())) > 1:
        raise ConfigError(
            f"leaves were trained towards different base encoders: {targets}; run the train stage "
            "again"
        )
    name, dim = params.base_space, leaves[0].projector().out
    base = Base(name, targets[leaves[0].name], dim, tuple(space_class(name).modalities))
    spaces = (name, *(leaf.space for leaf in leaves))
    options = {space: params.encoder_options(space) | {"root": project.root} for space in spaces}
    return base, leaves, options


def _trained(project: "Project", leaf, seeds: list[int]) -> tuple[Leaf, str]:
    """A leaf (of params.yaml) with the projectors of these seeds, and the fingerprint of the base
    encoder that they were trained towards."""
    trained, notes = {}, []
    for seed in seeds:
        path = project.projector_path(leaf.name, seed)
        trained[seed] = projectors.load(path)
        notes.append(_read_json(path.with_suffix(".json"), NOTE))
    note, space = notes[0], project.params.leaf_space(leaf)
    if len({(n["leaf_fingerprint"], n["base_fingerprint"]) for n in notes}) > 1:
        raise ConfigError(
            f"the seeds of leaf '{leaf.name}' were trained on different encoders; run the train "
            "stage again"
        )
    if (note["leaf_space"], note["base_space"]) != (space, project.params.base_space):
        raise ConfigError(
            f"the projector of leaf '{leaf.name}' was trained from '{note['leaf_space']}' into "
            f"'{note['base_space']}', params.yaml names '{space}' into "
            f"'{project.params.base_space}'; run the train stage again"
        )
    part = Leaf(
        name=leaf.name,
        modality=leaf.modality,
        overlap=leaf.overlap,
        space=space,
        fingerprint=note["leaf_fingerprint"],
        dim=trained[seeds[0]].dim,
        projectors=trained,
        training={"pair": note["pair"], "train": note["train"]},
    )
    return part, note["base_fingerprint"]


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
                name=modality,
                modality=modality,
                overlap=overlap,
                space=space,
                fingerprint="",
                dim=projector.dim,
                projectors={0: projector},
                training={"source": file, "sha256": sha256(path)},
            )
        )
    return Base("clip", "", projectors.DIM, ("image", "text")), leaves


def write(folder: str | Path, base: Base, leaves: list[Leaf]) -> Path:
    """Write a model into a folder, replacing one that is there. Returns the folder."""
    folder = Path(folder)
    state = {
        f"{leaf.name}/{seed}/{name}": tensor.cpu().contiguous()
        for leaf in leaves
        for seed, projector in leaf.projectors.items()
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
    """Read what `write` wrote. Raises ConfigError if a file is missing, damaged, or does not
    belong to this model."""
    folder = Path(folder)
    tensors, note = folder / "exmcr.safetensors", folder / "exmcr.json"
    content = _read_json(note, ("format",))
    if content["format"] != FORMAT:
        raise ConfigError(
            f"{note} is of format {content['format']!r}, this version reads {FORMAT!r}"
        )
    state = checkpoints.load(tensors)
    if sha256(tensors) != content.get("weights_sha256"):
        raise ConfigError(
            f"{tensors} is not the file that exmcr.json beside it describes; export the model again"
        )
    try:
        leaves = [_leaf(entry, state) for entry in content["leaves"]]
        base = Base(**content["base"] | {"modalities": tuple(content["base"]["modalities"])})
    except (KeyError, TypeError, RuntimeError) as error:
        raise ConfigError(
            f"{folder} does not hold a whole model: {error}; export it again"
        ) from error
    return base, leaves


def _leaf(entry: dict, state: dict) -> Leaf:
    """A leaf from its entry in exmcr.json and the tensors of the model."""
    stored = {}
    for seed in entry["seeds"]:
        prefix = f"{entry['name']}/{seed}/"
        stored[seed] = projectors.from_state(
            {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
        )
    return Leaf(**{k: v for k, v in entry.items() if k != "seeds"}, projectors=stored)


def _read_json(path: Path, needed: tuple[str, ...]) -> dict:
    if not path.is_file():
        raise ConfigError(
            f"no {path}; `exmcr export` makes a model, the train stage a projector with its note"
        )
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict) or not all(name in content for name in needed):
        raise ConfigError(f"{path} is damaged or of an older version: it needs {', '.join(needed)}")
    return content
