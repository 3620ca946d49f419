"""The stages of a run, one function each: what notebooks and commands call.

A stage reads and writes the folder of a Project. It verifies what it reads, and a second process
that starts it waits. Each function imports what it uses, so that a stage depends on no code of
another stage.
"""

from itertools import product

import pandas as pd

from exmcr.common.files import atomic_write
from exmcr.common.names import SPLITS
from exmcr.project import Project


def corpora(project: Project) -> pd.DataFrame:
    """Fetch, unpack and list the raw items that params.yaml names. Returns the item table.

    Raises ConfigError for an unknown corpus or missing data.
    """
    from exmcr.corpora import build

    params = project.params
    with project.running("corpora"):
        (project.data / "media").mkdir(parents=True, exist_ok=True)  # what dvc.yaml expects
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

    with project.running("fit_spaces"):
        # What dvc.yaml expects, also of imported spaces.
        (project.root / "models/spaces").mkdir(parents=True, exist_ok=True)
        losses = stage.fit_spaces(project)
        with atomic_write(project.reports / "space_losses.csv") as draft:
            losses.to_csv(draft, index=False)
        for name in project.spaces:
            loaded.record(project, name)
    return losses


def extract(project: Project, group=None) -> pd.DataFrame:
    """Encode every item in every space that has its modality, resumably.

    Every bank is compared with the hashes in its manifest; a damaged one is made again.

    group: torch.distributed group whose ranks share the work. Returns one row per bank: space,
    modality, split, vectors, skipped, fingerprint.
    """
    from exmcr.banks import extraction, imported
    from exmcr.common import distributed
    from exmcr.corpora import made

    shard, rows = project.params.extract.shard, []
    table = made.with_hashes(project.items, project.data)
    with project.running("extract", group):
        for name in project.spaces:
            if name in project.params.imported:
                for modality, split, bank in imported.banks_of(project, name, SPLITS):
                    rows.append((name, modality, split, len(bank), 0, bank.fingerprint[:12]))
                continue
            space = project.load_space(name)
            for modality, split in product(space.modalities, SPLITS):
                items = table[(table.modality == modality) & (table.split == split)]
                folder = project.bank_path(name, modality, split)
                if not len(items):
                    if distributed.rank(group) == 0:
                        extraction.forget(folder)
                    continue
                bank = extraction.extract(
                    space, modality, items, folder, project.load_raw, shard=shard, group=group
                )
                skipped, fingerprint = len(bank.meta["skipped"]), bank.fingerprint[:12]
                rows.append((name, modality, split, len(bank), skipped, fingerprint))
    columns = ["space", "modality", "split", "vectors", "skipped", "fingerprint"]
    return pd.DataFrame(rows, columns=columns)


def pair(project: Project) -> pd.DataFrame:
    """Make the pseudo-pairs of every leaf. Returns one row per leaf and center: leaf, center,
    quadruples. Raises ConfigError for banks that are missing, damaged, or of two encoders."""
    from exmcr.pairing import pairs

    rows, settings = [], project.params.pair
    centers: list[str] = [*settings.centers]
    with project.running("pair"):
        for leaf in project.leaves:
            pools, folder = project.pools(leaf), project.pairs_path(leaf.name)
            counts = pairs.build(
                pools,
                folder,
                centers,
                settings.tau1,
                made_from=project.banks_of(leaf),
                normalize_between=settings.normalize_between,
                subtract_mean=settings.subtract_mean,
            )
            rows += [(leaf.name, center, n) for center, n in counts.items()]
    return pd.DataFrame(rows, columns=["leaf", "center", "quadruples"])


def train(project: Project, group=None) -> pd.DataFrame:
    """Train one projector per leaf and seed, and store it with its provenance.

    A projector whose pseudo-pairs, settings and code are unchanged is not trained again. group:
    torch.distributed group whose ranks share every batch; the first rank stores.

    Returns losses: leaf, seed, epoch, steps, intra, inter, total. Raises ConfigError for
    pseudo-pairs that are missing, damaged, or of other banks or settings.
    """
    from exmcr.common import distributed
    from exmcr.pairing import pairs
    from exmcr.pairing.cones import cone_warning
    from exmcr.training import stage

    records, params = [], project.params
    centers: list[str] = [*params.pair.centers]
    with project.running("train", group):
        for leaf in project.leaves:
            folder = project.pairs_path(leaf.name)
            pairs.check(
                folder,
                centers,
                params.pair.tau1,
                project.banks_of(leaf),
                normalize_between=params.pair.normalize_between,
                subtract_mean=params.pair.subtract_mean,
            )
            pool, made_from = pairs.load(folder, centers), pairs.files_digest(folder, centers)
            noise = params.train_settings(leaf.name)["noise"]
            warning = cone_warning(leaf.name, pairs.recorded_norms(folder), noise)
            if warning and not params.pair.subtract_mean and distributed.rank(group) == 0:
                print(warning)
            for seed, history in stage.train_leaf(project, leaf, pool, made_from, group):
                records += [{"leaf": leaf.name, "seed": seed, **record} for record in history]
        losses = pd.DataFrame(records)
        if distributed.rank(group) == 0:
            with atomic_write(project.reports / "losses.csv") as draft:
                losses.to_csv(draft, index=False)
    return losses


def evaluate(project: Project) -> pd.DataFrame:
    """Score the methods of the results table on every task.

    Writes reports/results.csv (test), validation.csv, geometry.csv (before and after extension,
    first seed) and metrics.json. Returns the test table. Raises ConfigError if no task has test
    items, or if projectors are missing or were trained with other settings.
    """
    from exmcr.evaluation import stage

    with project.running("evaluate"):
        return stage.write_all(project)
