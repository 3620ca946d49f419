"""The steps of a run, one function each: what the notebooks call before they show anything.

A project is a folder with a params.yaml; data, banks, models and reports grow below it."""

import json
import shutil
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from exmcr import banks, config, distributed, pairs, projectors, training, weights
from exmcr.corpora.table import load_item
from exmcr.errors import ConfigError
from exmcr.evaluation import geometry, table
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.tasks import Task, tasks
from exmcr.methods import Maps, NotApplicable
from exmcr.methods.baselines import BASELINES
from exmcr.files import sha256
from exmcr.spaces import load_space, space_class
from exmcr.spaces.base import Space, digest

SPLITS = ("train", "val", "test")
FIT = {"mini-image-text": "fit_image_text", "mini-audio-text": "fit_audio_text", "mini-points": "fit_points"}


class Project:
    """A folder with params.yaml, opened. Raises ConfigError for wrong parameters, before any work starts."""

    def __init__(self, root: str | Path | None = None):
        self.root = Path(root).resolve() if root else config.project_root()
        self.params = config.load(self.root / "params.yaml")
        self.leaves: list[dict] = self.params["leaves"]

    @cached_property
    def items(self) -> pd.DataFrame:
        """The table of items (columns: exmcr/corpora/table.py). Raises ConfigError when it has not been made."""
        path = self.root / "data/items.parquet"
        if not path.is_file():
            raise ConfigError(f"no table of items at {path}; run 'python -m exmcr.corpora' or 'dvc repro'")
        return pd.read_parquet(path)

    @cached_property
    def usable_items(self) -> pd.DataFrame:
        """The items that no space of the project had to skip, since nothing can be asked of a damaged file."""
        skipped = set()
        for name in self.spaces:
            for manifest in (self.root / "banks" / name).glob("*/*/manifest.json"):
                skipped |= {item["id"] for item in json.loads(manifest.read_text()).get("skipped", [])}
        return self.items[~self.items.id.isin(skipped)]

    @cached_property
    def embeddings(self) -> Embeddings:
        """The banks of the project."""
        return Embeddings(self.root, self.params, self.items)

    @property
    def spaces(self) -> list[str]:
        """Registry names: the base first, then the leaves."""
        return [config.base_space(self.params), *(config.leaf_space(self.params, leaf) for leaf in self.leaves)]

    @property
    def figures(self) -> Path:
        """The folder that figures go to."""
        return self.root / "reports/figures"

    def load_space(self, name: str) -> Space:
        """A space with the options that `encoders` gives it. Raises ConfigError when its weights are missing or wrong."""
        return load_space(name, root=self.root, **config.encoder_options(self.params, name))

    def load_item(self, item):
        """Bring the raw item of one row of the item table into memory. Raises BadItem."""
        return load_item(item, self.root / "data")

    def projector_path(self, leaf: str, seed: int) -> Path:
        """Where the projector of a leaf and seed is stored; beside it, as .json, what made it."""
        return self.root / "models/projectors" / f"{leaf}-seed{seed}.safetensors"


def fit_spaces(project: Project) -> pd.DataFrame:
    """Train the spaces that are trained here (the mini ones); others come ready. Returns losses: space, epoch, pair, loss.

    Then every space is loaded once, so that a missing or foreign weight file stops the run here and not after hours, and
    models/spaces/<name>-loaded.json says what was loaded. Raises ConfigError."""
    from exmcr.spaces.mini import fit

    settings = project.params["fit_spaces"]
    records = []
    for name in project.spaces:
        if name not in FIT:
            continue
        arguments = {
            "mini-image-text": (settings["image_text"], settings["base_sources"]),
            "mini-audio-text": (settings["audio_text"],),
            "mini-points": (settings["points"], settings["points_sources"]),
        }[name]
        history = getattr(fit, FIT[name])(project.items, project.root, *arguments)
        records += [(name, r["epoch"], pair, loss) for r in history for pair, loss in r.items() if pair != "epoch"]
    losses = pd.DataFrame(records, columns=["space", "epoch", "pair", "loss"])
    path = project.root / "reports/space_losses.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    losses.to_csv(path, index=False)
    for name in project.spaces:
        _note_loaded(project, name)
    return losses


def _note_loaded(project: Project, name: str) -> None:
    space = project.load_space(name)
    files = []
    for path in space.files:
        known = weights.described(path)
        licence = "trained here" if name in FIT else known.licence if known else "not known: the file is none of those of `exmcr weights`"
        files.append({"file": path.name, "megabytes": round(path.stat().st_size / 1e6, 1), "sha256": sha256(path), "licence": licence})
    note = {"space": name, "dim": space.dim, "modalities": space.modalities, "fingerprint": space.fingerprint,
            "options": config.encoder_options(project.params, name), "files": files}  # fmt: skip
    path = _loaded_path(project, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(note, indent=1) + "\n")


def _loaded_path(project: Project, name: str) -> Path:
    return project.root / "models/spaces" / f"{name}-loaded.json"


def loaded_spaces(project: Project) -> pd.DataFrame:
    """What fit_spaces loaded: one row per weight file, columns space, modalities, dim, fingerprint, file, MB, licence, sha256."""
    rows = []
    for name in project.spaces:
        note = json.loads(_loaded_path(project, name).read_text())
        shared = (name, ", ".join(note["modalities"]), note["dim"], note["fingerprint"][:12])
        rows += [(*shared, file["file"], file["megabytes"], file["licence"], file["sha256"][:12]) for file in note["files"]]
    return pd.DataFrame(rows, columns=["space", "modalities", "dim", "fingerprint", "file", "MB", "licence", "sha256"])


def extract(project: Project, group=None) -> pd.DataFrame:
    """Encode every item in every space that has its modality. Returns one row per bank: space, modality, split, n, skipped.

    group: torch.distributed group whose ranks share the work."""
    rows = []
    for name in project.spaces:
        space = project.load_space(name)
        for modality in space.modalities:
            for split in SPLITS:
                items = project.items[(project.items.modality == modality) & (project.items.split == split)]
                folder = project.root / "banks" / name / modality / split
                if not len(items):
                    if distributed.rank(group) == 0:
                        _forget(folder)
                    continue
                bank = banks.extract(space, modality, items, folder, project.load_item, shard=project.params["extract"]["shard"], group=group)
                rows.append((name, modality, split, len(bank), len(bank.meta["skipped"]), bank.fingerprint[:12]))
    return pd.DataFrame(rows, columns=["space", "modality", "split", "vectors", "skipped", "fingerprint"])


def _forget(folder: Path) -> None:
    """Delete a bank of another corpus, which would be taken for this one's; embeddings brought from elsewhere (`source`) stay."""
    manifest = folder / "manifest.json"
    if manifest.is_file() and "source" not in json.loads(manifest.read_text()):
        print(f"{folder} is of another corpus and is deleted")
        shutil.rmtree(folder)


def pair(project: Project) -> pd.DataFrame:
    """Make the pseudo pairs of every leaf. Returns one row per leaf and centre: leaf, centre, quadruples."""
    settings = project.params["pair"]
    rows = []
    for leaf in project.leaves:
        pools = project.embeddings.pools(leaf)
        counts = pairs.build(pools, project.root / "pairs" / leaf["name"], settings["centres"], settings["tau1"])
        rows += [(leaf["name"], centre, n) for centre, n in counts.items()]
    return pd.DataFrame(rows, columns=["leaf", "centre", "quadruples"])


def train(project: Project, group=None) -> pd.DataFrame:
    """Train one projector per leaf and seed and store it with what made it. Returns losses: leaf, seed, epoch, intra, inter, total.

    group: torch.distributed group whose ranks share every batch; the first one stores."""
    params = project.params
    records = []
    for leaf in project.leaves:
        pool = pairs.load(project.root / "pairs" / leaf["name"], params["pair"]["centres"])
        settings = config.train_settings(params, leaf["name"])
        for seed in params["seeds"]:
            path = project.projector_path(leaf["name"], seed)
            projector, history = fit_projector(pool, settings, seed, checkpoint=path.with_suffix(".ckpt"), group=group)
            records += [{"leaf": leaf["name"], "seed": seed, **record} for record in history]
            if distributed.rank(group):
                continue
            projectors.save(projector, path)
            note = {
                "leaf": leaf["name"],
                "modality": leaf["modality"],
                "seed": seed,
                "leaf_space": config.leaf_space(params, leaf),
                "base_space": config.base_space(params),
                "leaf_fingerprint": _fingerprint(project, config.leaf_space(params, leaf), leaf["modality"]),
                "base_fingerprint": _fingerprint(project, config.base_space(params), leaf["overlap"]),
                "pair": params["pair"],
                "train": settings,
            }
            path.with_suffix(".json").write_text(json.dumps(note, indent=1) + "\n")
            path.with_suffix(".ckpt").unlink(missing_ok=True)
    losses = pd.DataFrame(records)
    if distributed.rank(group) == 0:
        losses.to_csv(project.root / "reports/losses.csv", index=False)
    return losses


def _fingerprint(project: Project, space: str, modality: str) -> str:
    return project.embeddings.bank(space, modality, "train").fingerprint


def fit_projector(pool, settings: dict, seed: int, **options) -> tuple[projectors.Projector, list[dict]]:
    """A fresh projector for these quadruples, trained. Returns it (eval mode, on the CPU) and the losses per epoch.

    settings: those of training.train, and depth_intra and depth_inter of projectors.Projector where they are to differ."""
    torch.manual_seed(seed)
    depths = {name: settings[name] for name in ("depth_intra", "depth_inter") if name in settings}
    projector = projectors.Projector(pool["x_leaf"].shape[1], pool["o_base"].shape[1], **depths)
    history = training.train(projector, pool, settings, seed, **options)
    return projector.cpu().eval(), history


def as_maps(projector: projectors.Projector) -> Maps:
    """A projector as a method's answer: the base passes untouched."""

    @torch.no_grad()
    def leaf(vectors: np.ndarray) -> np.ndarray:
        return projector(torch.from_numpy(np.array(vectors, dtype=np.float32))).numpy()

    return Maps(leaf=leaf)


def fitted(project: Project) -> dict[tuple[str, int], dict[str, Maps]]:
    """Every method of the results table, fitted: {(method, seed): {leaf name: Maps}}.

    A method that cannot serve a leaf (direct comparison of unequal dimensions) lacks it, and the reason is printed."""
    made = {}
    pools = {leaf["name"]: project.embeddings.pools(leaf) for leaf in project.leaves}
    for name, fit in BASELINES.items():
        made[name, 0] = {}
        for leaf, p in pools.items():
            try:
                made[name, 0][leaf] = fit(p)
            except NotApplicable as error:
                print(f"'{name}' is left out of the results with the {leaf} leaf: {error}")
    for seed in project.params["seeds"]:
        made["exmcr", seed] = {leaf: as_maps(projectors.load(project.projector_path(leaf, seed))) for leaf in pools}
    return made


def score_task(project: Project, task: Task, methods) -> list[dict]:
    """Rows of the results table for one task: every fitted method, and the frozen space that has both modalities."""
    e = project.embeddings
    reached = {task.from_modality, task.to_modality} & {leaf["modality"] for leaf in project.leaves}
    rows = []
    if not reached:
        rows += table.rows(task, "base", 0, e.vectors(e.base, task.queries), e.vectors(e.base, task.gallery))
        # What extending costs the base is measured, not taken for granted; the baselines pass the base untouched as well.
        methods = {key: maps for key, maps in methods.items() if key[0] == "exmcr"}
    needed = {leaf["name"] for leaf in project.leaves if leaf["modality"] in reached}
    for (method, seed), maps in methods.items():
        if not needed <= maps.keys():
            continue  # `fitted` said why
        rows += table.rows(task, method, seed, e.common(task.queries, maps), e.common(task.gallery, maps))
    for leaf in project.leaves if reached else ():
        name = config.leaf_space(project.params, leaf)
        if {task.from_modality, task.to_modality} <= set(space_class(name).modalities):
            rows += table.rows(task, "leaf", 0, e.vectors(name, task.queries), e.vectors(name, task.gallery))
    return rows


def evaluate(project: Project) -> pd.DataFrame:
    """Score every method on every task: test to reports/results.csv, validation to reports/validation.csv. Returns the test table.

    Also the geometry of the spaces before and after extension (first seed) to reports/geometry.csv. Raises ConfigError when no task
    has test items."""
    methods = fitted(project)
    for split, name in (("val", "validation"), ("test", "results")):
        rows = [row for task in tasks(project.usable_items, split) for row in score_task(project, task, methods)]
        if not rows and split == "test":  # settings need validation, results do not
            raise ConfigError(f"no task has data on the {split} split of corpora '{project.params['corpora']}'")
        results = table.write(rows, project.root / "reports" / f"{name}.csv")
    shape = geometry.table(project.embeddings, methods["exmcr", project.params["seeds"][0]])
    shape.to_csv(project.root / "reports/geometry.csv", index=False, float_format="%.6f")
    metrics = table.over_seeds(results)
    wanted = metrics[(metrics.method == "exmcr") & (metrics.split == "all")].set_index("task")[["r1", "map"]].round(4)
    (project.root / "reports/metrics.json").write_text(json.dumps(wanted.to_dict("index"), indent=1) + "\n")
    return results


def projector_digest(project: Project) -> str:
    """One hash over all projector weights, to compare two runs."""
    paths = sorted((project.root / "models/projectors").glob("*.safetensors"))
    return digest(*paths)
