"""The stages of a run, one function each: what notebooks and commands call.

A stage reads and writes the folder of a Project. Each function imports what it uses, so that a
stage depends on no code of another stage.
"""

import pandas as pd

from exmcr.project import Project

SPLITS = ("train", "val", "test")


def corpora(project: Project) -> pd.DataFrame:
    """Fetch, unpack and list the raw items that params.yaml names. Returns the item table.

    Raises ConfigError for an unknown corpus or missing data.
    """
    from exmcr.corpora import build

    params = project.params
    build(params.corpora, project.root, params.sample, params.paper_entries())
    return project.items


def fit_spaces(project: Project) -> pd.DataFrame:
    """Train the spaces that are trained here (the mini ones) and load every space once.

    A space whose training items, settings and code are unchanged is not trained again. Loading
    stops the run here, and not after hours, if a weight file is missing or foreign; what was
    loaded is recorded in models/spaces/<name>-loaded.json.

    Returns losses: space, epoch, pair, loss. Raises ConfigError for missing or foreign weights.
    """
    from exmcr.spaces import loaded
    from exmcr.spaces.mini import stage

    losses = stage.fit_spaces(project)
    project.reports.mkdir(parents=True, exist_ok=True)
    losses.to_csv(project.reports / "space_losses.csv", index=False)
    for name in project.spaces:
        loaded.record(project, name)
    return losses


def extract(project: Project, group=None) -> pd.DataFrame:
    """Encode every item in every space that has its modality, resumably.

    group: torch.distributed group whose ranks share the work. Returns one row per bank: space,
    modality, split, vectors, skipped, fingerprint.
    """
    from exmcr.banks import extraction
    from exmcr.common import distributed

    shard, rows = project.params.extract.shard, []
    for name in project.spaces:
        space = project.load_space(name)
        for modality in space.modalities:
            for split in SPLITS:
                chosen = (project.items.modality == modality) & (project.items.split == split)
                items, folder = project.items[chosen], project.bank_path(name, modality, split)
                if not len(items):
                    if distributed.rank(group) == 0:
                        extraction.forget(folder)
                    continue
                bank = extraction.extract(
                    space, modality, items, folder, project.load_item, shard=shard, group=group
                )
                skipped, fingerprint = len(bank.meta["skipped"]), bank.fingerprint[:12]
                rows.append((name, modality, split, len(bank), skipped, fingerprint))
    columns = ["space", "modality", "split", "vectors", "skipped", "fingerprint"]
    return pd.DataFrame(rows, columns=columns)


def pair(project: Project) -> pd.DataFrame:
    """Make the pseudo-pairs of every leaf. Returns one row per leaf and center: leaf, center,
    quadruples."""
    from exmcr.pairing import pairs

    rows, tau1 = [], project.params.pair.tau1
    centers: list[str] = [*project.params.pair.centers]
    for leaf in project.leaves:
        pools, folder = project.pools(leaf), project.pairs_path(leaf.name)
        counts = pairs.build(pools, folder, centers, tau1)
        rows += [(leaf.name, center, n) for center, n in counts.items()]
    return pd.DataFrame(rows, columns=["leaf", "center", "quadruples"])


def train(project: Project, group=None) -> pd.DataFrame:
    """Train one projector per leaf and seed, and store it with its provenance.

    A projector whose pseudo-pairs, settings and code are unchanged is not trained again. group:
    torch.distributed group whose ranks share every batch; the first rank stores.

    Returns losses: leaf, seed, epoch, steps, intra, inter, total.
    """
    from exmcr.common import distributed
    from exmcr.pairing import pairs
    from exmcr.training import stage

    records = []
    centers: list[str] = [*project.params.pair.centers]
    for leaf in project.leaves:
        folder = project.pairs_path(leaf.name)
        pool, made_from = pairs.load(folder, centers), pairs.files_digest(folder, centers)
        for seed, history in stage.train_leaf(project, leaf, pool, made_from, group):
            records += [{"leaf": leaf.name, "seed": seed, **record} for record in history]
    losses = pd.DataFrame(records)
    if distributed.rank(group) == 0:
        project.reports.mkdir(parents=True, exist_ok=True)
        losses.to_csv(project.reports / "losses.csv", index=False)
    return losses


def evaluate(project: Project) -> pd.DataFrame:
    """Score the methods of the results table on every task.

    Writes reports/results.csv (test), validation.csv, geometry.csv (before and after extension,
    first seed) and metrics.json. Returns the test table. Raises ConfigError if no task has test
    items, or if projectors are missing or were trained with other settings.
    """
    from exmcr.evaluation import stage

    return stage.write_all(project)
