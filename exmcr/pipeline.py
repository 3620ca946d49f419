"""The steps of a run, one function each: what the notebooks call before they show anything.

A project is a folder with a params.yaml; data, banks, models and reports grow below it."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from exmcr import banks, config, corpora, pairs, projectors, training
from exmcr.corpora.table import load_item
from exmcr.errors import ConfigError
from exmcr.evaluation import table
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.tasks import Task, tasks
from exmcr.methods import Maps
from exmcr.methods.baselines import BASELINES
from exmcr.spaces import load_space
from exmcr.spaces.base import digest

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
        path = self.root / "data/items.parquet"
        if not path.is_file():
            raise ConfigError(f"no table of items at {path}; run 'python -m exmcr.corpora' or 'dvc repro'")
        return pd.read_parquet(path)

    @cached_property
    def embeddings(self) -> Embeddings:
        return Embeddings(self.root, self.params, self.items)

    @property
    def spaces(self) -> list[str]:
        """Registry names: the base first, then the leaves."""
        return [config.base_space(self.params), *(config.leaf_space(self.params, leaf) for leaf in self.leaves)]

    @property
    def figures(self) -> Path:
        return self.root / "reports/figures"

    def load_item(self, item):
        """Bring the raw item of one row of the item table into memory. Raises BadItem."""
        return load_item(item, self.root / "data")

    def projector_path(self, leaf: str, seed: int) -> Path:
        return self.root / "models/projectors" / f"{leaf}-seed{seed}.safetensors"


def fit_spaces(project: Project) -> pd.DataFrame:
    """Train the spaces that are trained here (the mini ones); others come ready. Returns losses: space, epoch, pair, loss."""
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
    return losses


def extract(project: Project) -> pd.DataFrame:
    """Encode every item in every space that has its modality. Returns one row per bank: space, modality, split, n, skipped."""
    rows = []
    for name in project.spaces:
        space = load_space(name, root=project.root)
        for modality in space.modalities:
            for split in SPLITS:
                items = project.items[(project.items.modality == modality) & (project.items.split == split)]
                if not len(items):
                    continue
                folder = project.root / "banks" / name / modality / split
                bank = banks.extract(space, modality, items, folder, project.load_item, shard=project.params["extract"]["shard"])
                rows.append((name, modality, split, len(bank), len(bank.meta["skipped"]), bank.fingerprint[:12]))
    return pd.DataFrame(rows, columns=["space", "modality", "split", "vectors", "skipped", "fingerprint"])


def pair(project: Project) -> pd.DataFrame:
    """Make the pseudo pairs of every leaf. Returns one row per leaf and centre: leaf, centre, quadruples."""
    settings = project.params["pair"]
    rows = []
    for leaf in project.leaves:
        pools = project.embeddings.pools(leaf)
        counts = pairs.build(pools, project.root / "pairs" / leaf["name"], settings["centres"], settings["tau1"])
        rows += [(leaf["name"], centre, n) for centre, n in counts.items()]
    return pd.DataFrame(rows, columns=["leaf", "centre", "quadruples"])


def train(project: Project) -> pd.DataFrame:
    """Train one projector per leaf and seed and store it with what made it. Returns losses: leaf, seed, epoch, intra, inter, total."""
    params = project.params
    records = []
    for leaf in project.leaves:
        pool = pairs.load(project.root / "pairs" / leaf["name"], params["pair"]["centres"])
        settings = config.train_settings(params, leaf["name"])
        for seed in params["seeds"]:
            path = project.projector_path(leaf["name"], seed)
            projector, history = fit_projector(pool, settings, seed, checkpoint=path.with_suffix(".ckpt"))
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
            records += [{"leaf": leaf["name"], "seed": seed, **record} for record in history]
    losses = pd.DataFrame(records)
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
        return projector(torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))).numpy()

    return Maps(leaf=leaf)


def fitted(project: Project) -> dict[tuple[str, int], dict[str, Maps]]:
    """Every method of the results table, fitted: {(method, seed): {leaf name: Maps}}."""
    made = {}
    pools = {leaf["name"]: project.embeddings.pools(leaf) for leaf in project.leaves}
    for name, fit in BASELINES.items():
        made[name, 0] = {leaf: fit(p) for leaf, p in pools.items()}
    for seed in project.params["seeds"]:
        made["exmcr", seed] = {leaf: as_maps(projectors.load(project.projector_path(leaf, seed))) for leaf in pools}
    return made


def score_task(project: Project, task: Task, methods) -> list[dict]:
    """Rows of the results table for one task: every fitted method, and the frozen space that has both modalities."""
    e = project.embeddings
    reached = {task.from_modality, task.to_modality} & {leaf["modality"] for leaf in project.leaves}
    rows = []
    if not reached:
        vectors = e.vectors(e.base, task.queries), e.vectors(e.base, task.gallery)
        return table.rows(task, "base", 0, *vectors) + table.rows(task, "exmcr", 0, *vectors)
    for (method, seed), maps in methods.items():
        rows += table.rows(task, method, seed, e.common(task.queries, maps), e.common(task.gallery, maps))
    for leaf in project.leaves:
        native = load_modalities(config.leaf_space(project.params, leaf))
        if {task.from_modality, task.to_modality} <= set(native):
            name = config.leaf_space(project.params, leaf)
            rows += table.rows(task, "leaf", 0, e.vectors(name, task.queries), e.vectors(name, task.gallery))
    return rows


def load_modalities(name: str) -> tuple[str, ...]:
    """Modalities of a space, without loading its weights."""
    from importlib import import_module

    from exmcr.spaces import SPACES

    module, cls = SPACES[name].split(":")
    return getattr(import_module(module), cls).modalities


def evaluate(project: Project) -> pd.DataFrame:
    """Score every method on every task: test to reports/results.csv, validation to reports/validation.csv. Returns the test table."""
    methods = fitted(project)
    for split, name in (("val", "validation"), ("test", "results")):
        rows = [row for task in tasks(project.items, split) for row in score_task(project, task, methods)]
        if not rows:
            raise ConfigError(f"no task has data on the {split} split of corpora '{project.params['corpora']}'")
        results = table.write(rows, project.root / "reports" / f"{name}.csv")
    metrics = table.over_seeds(results)
    wanted = metrics[(metrics.method == "exmcr") & (metrics.split == "all")].set_index("task")[["r1", "map"]].round(4)
    (project.root / "reports/metrics.json").write_text(json.dumps(wanted.to_dict("index"), indent=1) + "\n")
    return results


def projector_digest(project: Project) -> str:
    """One hash over all projector weights, to compare two runs."""
    paths = sorted((project.root / "models/projectors").glob("*.safetensors"))
    return digest(*paths)
