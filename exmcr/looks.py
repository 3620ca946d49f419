"""What the notebooks look at: rows, distances and maps, made ready for the figures of plot_items, plot_spaces and plot_scores."""

import itertools
import json

import numpy as np
import pandas as pd

from exmcr import config, pairs, projectors
from exmcr.aggregate import aggregate, topk
from exmcr.corpora.paper import PAPER_CORPORA
from exmcr.evaluation import geometry, retrieval
from exmcr.evaluation.embeddings import other_modality
from exmcr.evaluation.table import over_seeds
from exmcr.evaluation.tasks import tasks
from exmcr.methods.baselines import BASELINES
from exmcr.pipeline import Project, as_maps

CENTRE_QUERIES = 2000  # rows per centre in the picture of neighbours


def exmcr_maps(project: Project, seed: int | None = None) -> dict:
    """The trained projectors of one seed (the first): {leaf name: Maps}."""
    seed = project.params["seeds"][0] if seed is None else seed
    return {leaf["name"]: as_maps(projectors.load(project.projector_path(leaf["name"], seed))) for leaf in project.leaves}


def some_items(project: Project, n: int):
    """n items of each modality but text, a line each: the arguments of plot_items.gallery, without right and wrong."""
    held = project.items[project.items.modality != "text"].groupby("modality")
    lines = [list(part.sample(min(n, len(part)), random_state=1).itertuples()) for _, part in held]
    return [line[0] for line in lines], [line[1:] for line in lines], None


def unusable_files(project: Project) -> pd.DataFrame:
    """What could not be used when the corpus was built: columns id, reason."""
    path = project.root / "data/skipped.json"
    return pd.DataFrame(json.loads(path.read_text()) if path.is_file() else [], columns=["id", "reason"])


def bank_cosines(project: Project, pairs_per_bank: int = 4000) -> dict[str, dict[str, np.ndarray]]:
    """Cosines of random pairs within each training bank, and between the modalities of a space: {space: {label: values}}."""
    rng = np.random.default_rng(0)
    made: dict[str, dict[str, np.ndarray]] = {}
    for space in project.spaces:
        banks = {}
        for folder in sorted((project.root / "banks" / space).iterdir()):
            banks[folder.name] = np.asarray(project.embeddings.bank(space, folder.name, "train").vectors)
        found = {}
        for a, b in itertools.combinations_with_replacement(banks, 2):
            left = banks[a][rng.integers(len(banks[a]), size=pairs_per_bank)]
            right = banks[b][rng.integers(len(banks[b]), size=pairs_per_bank)]
            cosine = (left * right).sum(axis=1)
            found[f"{a} – {b}"] = cosine[cosine < 0.9999]  # an item met itself
        made[space] = found
    return made


def neighbours(project: Project) -> pd.DataFrame:
    """Effective number of neighbours of each centre's first aggregation: columns leaf, centre, neighbours."""
    tau = project.params["pair"]["tau1"]
    rows = []
    for leaf in project.leaves:
        p = project.embeddings.pools(leaf)
        for centre, (queries, keys) in {"overlap": (p.o_leaf, p.x_leaf), "leaf": (p.x_leaf, p.o_leaf), "base": (p.y_base, p.o_base)}.items():
            spread = aggregate(queries[:CENTRE_QUERIES], keys, keys, tau, neighbours=True).neighbours
            rows += [(leaf["name"], centre, float(n)) for n in spread]
    return pd.DataFrame(rows, columns=["leaf", "centre", "neighbours"])


def top_mass(project: Project) -> pd.DataFrame:
    """What the k heaviest keys of a query weigh together, for every aggregation that the stored pairs come from.

    Columns leaf, centre, bank (modality and space asked), size (keys in it), k (every power of two, and size), mass (mean over
    queries, between 0 and 1) and low (its 5 % quantile). A weight is exp(score / tau - log mass)."""
    tau, rows = project.params["pair"]["tau1"], []
    for leaf in project.leaves:
        p = project.embeddings.pools(leaf)
        made = {centre: pairs.load(project.root / "pairs" / leaf["name"], [centre]) for centre in project.params["pair"]["centres"]}
        steps = {"overlap": [("o_leaf", "x_leaf"), ("o_base", "y_base")], "leaf": [("x_leaf", "o_leaf"), ("o_base", "y_base")],
                 "base": [("y_base", "o_base"), ("o_leaf", "x_leaf")]}  # fmt: skip
        for centre, quadruples in made.items():
            for asking, part in steps[centre]:
                queries, keys = quadruples[asking].numpy(), getattr(p, part)
                queries = queries[np.random.default_rng(0).permutation(len(queries))[:CENTRE_QUERIES]]
                log_mass = aggregate(queries, keys, keys, tau).log_mass
                held = np.exp(topk(queries, keys, len(keys)).scores / tau - log_mass[:, None]).cumsum(axis=1)
                for k in sorted({2**i for i in range(len(keys).bit_length())} | {len(keys)}):
                    bank = f"{p.names[part[0]]} ({part[2:]})"
                    rows.append((leaf["name"], centre, bank, len(keys), k, held[:, k - 1].mean(), np.quantile(held[:, k - 1], 0.05)))
    return pd.DataFrame(rows, columns=["leaf", "centre", "bank", "size", "k", "mass", "low"])


def pseudo_pairs(project: Project, leaf: dict, n: int, answers: int = 5):
    """n leaf items, and the base items nearest to what the leaf-centric aggregation paired them with.

    Returns rows of queries, of answers, and whether an answer shares the query's concept, None where one of them has none: the
    arguments of plot_items.gallery."""
    bank = project.embeddings.bank(config.leaf_space(project.params, leaf), leaf["modality"], "train")
    other = project.embeddings.bank(config.base_space(project.params), other_modality(leaf), "train")
    made = pairs.load(project.root / "pairs" / leaf["name"], ["leaf"])
    chosen = np.random.default_rng(1).choice(len(bank), size=min(n, len(bank)), replace=False)
    best = np.argsort(-(made["y_base"].numpy()[chosen] @ np.asarray(other.vectors).T), axis=1)[:, :answers]
    rows = project.items.set_index("id", drop=False)
    return _gallery(rows.loc[bank.ids[chosen]], [rows.loc[other.ids[b]] for b in best])


def _gallery(queries: pd.DataFrame, found: list[pd.DataFrame], right=None):
    asked = list(queries.itertuples(index=False))
    answers = [list(f.itertuples(index=False)) for f in found]
    if right is None:
        right = [[a.concept == q.concept if a.concept and q.concept else None for a in line] for q, line in zip(asked, answers, strict=True)]
    return asked, answers, right


def _task(project: Project, name: str):
    """A test task by its name, or the first benchmark's of that direction; None when there is no data."""
    made = tasks(project.usable_items, "test")
    return next((t for t in made if t.name == name), None) or next((t for t in made if t.name.startswith(f"{name} (")), None)


def _similarity(project: Project, task) -> np.ndarray:
    maps = exmcr_maps(project)
    return project.embeddings.common(task.queries, maps) @ project.embeddings.common(task.gallery, maps).T


def answers(project: Project, name: str, n: int, most: int = 5):
    """n test queries of a task, of different concepts, with their best answers: the arguments of plot_items.gallery.

    The queries are a fixed random draw, not the best ones. None when the task has no data."""
    task = _task(project, name)
    if task is None:
        return None
    similarity = _similarity(project, task)
    shuffled = task.queries.sample(frac=1, random_state=0)
    chosen = shuffled.drop_duplicates("concept").head(n)
    place = {id: k for k, id in enumerate(task.queries.id)}
    lines = [place[i] for i in chosen.id]
    best = np.argsort(-similarity[lines], axis=1)[:, :most]
    right = [task.positive[line][b].tolist() for line, b in zip(lines, best, strict=True)]
    return _gallery(chosen, [task.gallery.iloc[b] for b in best], right)


def by_concept(project: Project, name: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Mean AP per concept (columns concept, map, n, seen), and what wrong first answers were (asked, answered, times).

    None when the task has no data."""
    task = _task(project, name)
    if task is None:
        return None
    similarity = _similarity(project, task)
    ap = retrieval.per_query(retrieval.ranks_of_positives(similarity, task.positive))["map"]
    asked = task.queries.concept.to_numpy()
    first = similarity.argmax(axis=1)
    wrong = ~task.positive[np.arange(len(first)), first]
    table = pd.DataFrame({"concept": asked, "map": ap, "seen": task.seen})
    scores = table.groupby("concept").agg(map=("map", "mean"), n=("map", "size"), seen=("seen", "first")).reset_index()
    taken = pd.DataFrame({"asked": asked[wrong], "answered": task.gallery.concept.to_numpy()[first[wrong]]})
    return scores, taken.value_counts().rename("times").reset_index()


def best_and_worst(project: Project, name: str, n: int = 6) -> pd.DataFrame:
    """The n best and n worst concepts of a task by mean AP: map, queries, heard (items of the leaf's training pool with that
    noun), right (answers in the gallery), and what wrong first answers showed most often."""
    task = _task(project, name)
    scores, taken = by_concept(project, name)
    train = project.items[(project.items.modality == task.from_modality) & (project.items.split == "train")].concept.value_counts()
    right = pd.Series(task.positive.sum(axis=1), index=task.queries.concept.to_numpy()).groupby(level=0).first()
    confused = taken.groupby("asked").answered.agg(lambda names: ", ".join([name or "(no noun)" for name in names][:3]))
    ordered = scores.sort_values("map", ascending=False, kind="stable").set_index("concept")
    ordered = pd.concat([ordered.head(n), ordered.iloc[max(n, len(ordered) - n) :]])
    found = {
        "map": ordered["map"],
        "queries": ordered.n,
        "heard": train.reindex(ordered.index).fillna(0).astype(int),
        "right": right.reindex(ordered.index),
        "taken for": confused.reindex(ordered.index).fillna(""),
    }
    return pd.DataFrame(found)


def methods_to_compare(project: Project) -> dict[str, list[dict]]:
    """Maps of the hop, of Procrustes and of Ex-MCR: {method: one {leaf name: Maps} for each seed}."""
    pools = {leaf["name"]: project.embeddings.pools(leaf) for leaf in project.leaves}
    made = {name: [{leaf: BASELINES[name](p) for leaf, p in pools.items()}] for name in ("hop", "procrustes")}
    return made | {"exmcr": [exmcr_maps(project, seed) for seed in project.params["seeds"]]}


def concepts_by_method(project: Project, name: str, methods: dict[str, list[dict]]) -> pd.DataFrame:
    """Mean AP per concept, one column for each method (mean over its seeds), and columns concept, n, seen."""
    task, e = _task(project, name), project.embeddings
    table = pd.DataFrame({"concept": task.queries.concept.to_numpy(), "seen": task.seen})
    for method, seeds in methods.items():
        runs = [retrieval.ranks_of_positives(e.common(task.queries, m) @ e.common(task.gallery, m).T, task.positive) for m in seeds]
        table[method] = np.mean([retrieval.per_query(ranks)["map"] for ranks in runs], axis=0)
    kinds = {"n": ("seen", "size"), "seen": ("seen", "first")} | {method: (method, "mean") for method in methods}
    return table.groupby("concept").agg(**kinds).reset_index()


def geometry_by_method(project: Project, name: str, methods: dict[str, list[dict]]) -> pd.DataFrame:
    """What each method makes of the queries of a task: exmcr.evaluation.geometry of the queries against the gallery, first
    seed. One row per method, with its mAP."""
    task, e = _task(project, name), project.embeddings
    rows = []
    for method, seeds in methods.items():
        queries, gallery = e.common(task.queries, seeds[0]), e.common(task.gallery, seeds[0])
        score = retrieval.score(queries @ gallery.T, task.positive)["map"]
        rows.append({"method": method, "map": score, **geometry.alone(queries), **geometry.between(queries, gallery, task.positive)})
    return pd.DataFrame(rows).set_index("method")


def with_compared(project: Project, results: pd.DataFrame) -> pd.DataFrame:
    """The results table, and below it what reports/compare.csv has of other methods, when that was made."""
    path = project.root / "reports/compare.csv"
    if not path.is_file():
        return results
    other = pd.read_csv(path)
    return pd.concat([results, other[~other.method.isin(set(results.method))]], ignore_index=True)


def kept(results: pd.DataFrame, split: str = "all") -> pd.DataFrame:
    """What each method keeps of what a frozen space can do alone, on the tasks whose two modalities one space has.

    Columns task, method, frozen (mAP of that space: `base` or `leaf`), map, share (map / frozen). In the base's own tasks a
    method that leaves the base untouched keeps exactly 1."""
    mean = over_seeds(results[results.split == split])
    frozen = mean[mean.method.isin(("base", "leaf"))].groupby("task", sort=False)["map"].max().rename("frozen")
    made = mean[~mean.method.isin(("base", "leaf"))].merge(frozen, on="task")
    return made.assign(share=made["map"] / made.frozen)[["task", "method", "frozen", "map", "share"]]


def base_before_and_after(results: pd.DataFrame) -> pd.DataFrame:
    """The base's own tasks: every score before extension and after, the mean over seeds, and the largest difference of any seed."""
    scores = ["r1", "r5", "r10", "map"]
    before = results[results.method == "base"].set_index(["task", "split"])
    rows = []
    for key, part in results[results.method == "exmcr"].groupby(["task", "split"], sort=False):
        if key in before.index:
            own = before.loc[key, scores].astype(float)
            rows.append((*key, own["map"], part["map"].mean(), own.r1, part.r1.mean(), float((part[scores] - own).abs().to_numpy().max())))
    return pd.DataFrame(rows, columns=["task", "split", "map before", "map after", "r1 before", "r1 after", "largest difference"])


def map_2d(project: Project) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """UMAP of test items before and after extension: (n, 2), (n, 2), and the rows of the item table.

    Before: every item in the frozen space of its own (leaf modalities in the leaf's). Seeded; coordinates still differ
    between machines."""
    import umap

    e = project.embeddings
    items = project.usable_items
    test = items[(items.split == "test") & ((items.of == "") | items.source.isin(PAPER_CORPORA))]  # no icons of the models
    share = project.params["visualise"]["umap_items"] // test.modality.nunique()
    rows = pd.concat([part.sample(min(share, len(part)), random_state=0) for _, part in test.groupby("modality")])
    maps = exmcr_maps(project)
    before, after = [], []
    for modality, part in rows.groupby("modality", sort=False):
        leaf = e.leaf_of(modality)
        before.append(e.vectors(e.base if leaf is None else config.leaf_space(project.params, leaf), part))
        after.append(e.common(part, maps))
    # Spaces of different dimensions cannot be compared anyway; zeros keep the distances within each.
    widest = max(part.shape[1] for part in before)
    before = [np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in before]
    both = []
    for vectors in (np.concatenate(before), np.concatenate(after)):
        both.append(umap.UMAP(metric="cosine", random_state=0, n_jobs=1, n_neighbors=min(20, len(rows) - 1)).fit_transform(vectors))
    return both[0], both[1], pd.concat([part for _, part in rows.groupby("modality", sort=False)])


def frequent_concepts(rows: pd.DataFrame, n: int) -> list[str]:
    """The concepts that occur in most modalities, then most often."""
    counted = rows[rows.concept != ""].groupby("concept").modality.agg(["nunique", "size"])
    return counted.sort_values(["nunique", "size"], ascending=False).head(n).index.tolist()


def modality_gaps(project: Project) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Distance between the centroids of test items of each two modalities, before and after extension: two square tables.

    ||mean(a) - mean(b)||, between 0 and 2 (Liang et al. 2022, arXiv:2203.02053); NaN where dimensions differ."""
    e, maps = project.embeddings, exmcr_maps(project)
    before, after = {}, {}
    for modality, part in project.usable_items[project.usable_items.split == "test"].groupby("modality", sort=False):
        leaf = e.leaf_of(modality)
        before[modality] = e.vectors(e.base if leaf is None else config.leaf_space(project.params, leaf), part).mean(axis=0)
        after[modality] = e.common(part, maps).mean(axis=0)
    names = [m for m in ("text", "image", "audio", "points") if m in before]

    def distance(a, b):
        return np.linalg.norm(a - b) if a.shape == b.shape else np.nan

    def table(centres):
        return pd.DataFrame([[distance(centres[a], centres[b]) for b in names] for a in names], names, names)

    return table(before), table(after)
