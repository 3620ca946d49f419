"""Where models come from: a trained project, the authors' files, a folder that `write` wrote.

A stored model is two files. exmcr.safetensors holds the projectors of every leaf and seed, as
`<leaf>/<seed>/<parameter>`, and the heads of the base of C-MCR, as `/<seed>/<parameter>`;
exmcr.json says which spaces they were trained on, with fingerprints, and how. portable.py adds what
the encoders need.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file
from torch import nn

from exmcr.banks.imported import Lookup
from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import sha256
from exmcr.model.parts import Base, Leaf, dims_of
from exmcr.model.portable import carry, options_here
from exmcr.spaces import weights
from exmcr.training import projectors
from exmcr.training.cmcr_heads import head_from_state

if TYPE_CHECKING:
    from exmcr.project import Project

FORMAT = "exmcr 1"
BASE = ""  # takes the place of the leaf in the names of the base's heads
# The authors' projectors: {modality: (file, space, overlap)}.
OFFICIAL = {
    "audio": ("ex_clap.pt", "clap", "text"),
    "points": ("ex_ulip.pt", "ulip2", "image"),
}
# What is needed of the note beside a projector (exmcr/training/stage.py).
NOTE = (
    "sha256",
    "leaf_space",
    "base_space",
    "leaf_fingerprint",
    "base_fingerprint",
    "pair",
    "train",
)

Settings = dict[str, dict[str, Any]]


def merged(recorded: Settings, given: Settings | None) -> Settings:
    """Arguments of load_space by space: those that were recorded, overridden by those given."""
    given = given or {}
    return {name: recorded.get(name, {}) | given.get(name, {}) for name in (*recorded, *given)}


def of_project(
    project: "Project | str | Path",
    seeds: Iterable[int] | None = None,
    names: Iterable[str] | None = None,
) -> tuple[Base, list[Leaf], Settings]:
    """The base and the leaves that a project trained, and {space: arguments of load_space}.

    names: of the leaves; by default the first of each modality.

    Raises ConfigError as ExMCR.from_project.
    """
    # Models that are not of a project do without its dependencies.
    from exmcr.project import Project

    project = project if isinstance(project, Project) else Project(project)
    params = project.params
    chosen = list(params.seeds if seeds is None else seeds)
    if not chosen:
        raise ConfigError("a model needs at least one seed")
    first = {leaf.modality: leaf.name for leaf in reversed(project.leaves)}
    leaves, targets = [], {}
    for leaf in [params.leaf(name) for name in (names or reversed([*first.values()]))]:
        part, targets[leaf.name] = _trained(project, leaf, chosen)
        leaves.append(part)
    if len(set(targets.values())) > 1:
        raise ConfigError(
            f"leaves were trained towards different base encoders: {targets}; run the train stage "
            "again"
        )
    name, (_, dim) = params.base_space, dims_of(leaves[0].projector())
    base = Base(name, targets[leaves[0].name], dim, params.modalities_of(name))
    return base, leaves, options_of(project, (name, *(leaf.space for leaf in leaves)))


def lookups(project: "Project | str | Path", parts: Iterable[Base | Leaf]) -> dict[str, Any]:
    """{space: what looks its items up in banks} of the imported spaces of a project."""
    from exmcr.project import Project

    project = project if isinstance(project, Project) else Project(project)
    names = {part.space for part in parts} & project.params.imported.keys()
    return {name: Lookup(project, name) for name in names}


def options_of(project: "Project", spaces: Iterable[str]) -> Settings:
    """Arguments of load_space for spaces of a project."""
    root = {"root": project.root}
    return {space: project.params.encoder_options(space) | root for space in spaces}


def _trained(project: "Project", leaf, seeds: list[int]) -> tuple[Leaf, str]:
    """A leaf (of params.yaml) with the projectors of these seeds, and the fingerprint of the base
    encoder that they were trained towards."""
    trained, notes = {}, []
    for seed in seeds:
        path = project.projector_path(leaf.name, seed)
        trained[seed] = projectors.load(path)
        notes.append(_read_json(path.with_suffix(".json"), NOTE))
        _check_note(project, leaf, path, notes[-1])
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


def _check_note(project: "Project", leaf, path: Path, note: dict) -> None:
    """Raises ConfigError if the file is not the one that its note describes, or was trained with
    other settings than those of params.yaml."""
    again = "run `exmcr train` or `dvc repro train`"
    if note["sha256"] != sha256(path):
        raise ConfigError(f"{path} is not the file that {path.stem}.json describes; {again}")
    params = project.params
    wanted = {"pair": params.pair_settings(), "train": params.train_settings(leaf.name)}
    if other := [name for name, settings in wanted.items() if note[name] != settings]:
        raise ConfigError(
            f"{path} was trained with other settings ({', '.join(other)}) than those of "
            f"params.yaml; {again}"
        )


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


def write(folder: str | Path, base: Base, leaves: list[Leaf], settings: Settings) -> Path:
    """Write a model into a folder, replacing one that is there. Returns the folder.

    settings: {space: arguments of load_space}, of which the portable ones are recorded. Raises
    ConfigError if the folder cannot be written.
    """
    folder = Path(folder)
    modules = {BASE: base.heads} | {leaf.name: leaf.projectors for leaf in leaves}
    state = {
        f"{part}/{seed}/{name}": tensor.cpu().contiguous()
        for part, by_seed in modules.items()
        for seed, projector in by_seed.items()
        for name, tensor in projector.state_dict().items()
    }
    try:
        return _write(folder, base, leaves, settings, state)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror or error}") from error


def _write(folder: Path, base: Base, leaves: list[Leaf], settings: Settings, state: dict) -> Path:
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
            "seeds": list(base.heads),
        },
        "encoders": carry(folder, settings),
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


def read(folder: str | Path) -> tuple[Base, list[Leaf], Settings]:
    """Read what `write` wrote: base, leaves, {space: arguments of load_space}.

    Raises ConfigError if a file is missing, damaged, or does not belong to this model.
    """
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
        entry = content["base"]
        heads = {seed: head_from_state(_part(state, BASE, seed)) for seed in entry.pop("seeds", [])}
        base = Base(**entry | {"modalities": tuple(entry["modalities"]), "heads": heads})
        settings = options_here(folder, content.get("encoders", {}))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ConfigError(
            f"{folder} does not hold a whole model: {error}; export it again"
        ) from error
    return base, leaves, settings


def _part(state: dict, name: str, seed: int) -> dict:
    """The tensors of one part and seed, by their own names."""
    prefix = f"{name}/{seed}/"
    return {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}


def _module(state: dict) -> nn.Module:
    """A projector of Ex-MCR or a head of C-MCR."""
    is_head = "net.0.weight" in state or "net1.0.weight" in state
    return head_from_state(state) if is_head else projectors.from_state(state)


def _leaf(entry: dict, state: dict) -> Leaf:
    """A leaf from its entry in exmcr.json and the tensors of the model."""
    stored = {seed: _module(_part(state, entry["name"], seed)) for seed in entry["seeds"]}
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
