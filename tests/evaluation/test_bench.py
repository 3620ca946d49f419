"""The one path by which methods are fitted and scored, on synthetic projects: against scores computed by hand, between the
stage `evaluate` and the comparison, and with a further leaf modality."""

import numpy as np
import pandas as pd
import pytest
import synthetic
import yaml

from exmcr import pipeline
from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.evaluation import tables
from exmcr.evaluation.bench import Bench, into_base, results
from exmcr.evaluation.meeting import BRIDGE
from exmcr.evaluation.stage import trained_maps
from exmcr.evaluation.tasks import EMERGENT
from exmcr.experiments.compare import compare
from exmcr.media import MODALITIES
from exmcr.methods.cca import cca
from exmcr.methods.maps import Maps, Method, NotApplicable, identity
from exmcr.methods.registry import METHODS, after_of
from exmcr.project import Project
from exmcr.spaces import SPACES
from exmcr.spaces.base import Space

QUICK = {"steps": 4, "batch": 64, "leaves": {}}


def change(root, **blocks):
    """Update blocks of params.yaml. Returns the project, opened again."""
    path = root / "params.yaml"
    content = yaml.safe_load(path.read_text())
    for name, block in blocks.items():
        content[name] = (content.get(name) or {}) | block
    path.write_text(yaml.safe_dump(content))
    return Project(root)


def half_unseen(items):
    """The item table without the concepts of the training items of every other kind of thing."""
    kind = items.concept.str.split().str[-1].astype(int)
    return items.assign(concept=items.concept.where((items.split != "train") | (kind % 2 == 0), ""))


def blur(root, noise=0.2):
    """Add noise to all banks, so that scores are not all 1."""
    rng = np.random.default_rng(7)
    for path in sorted((root / "banks").glob("*/*/*/vectors.npy")):
        own = np.load(path)
        np.save(path, unit(own + noise * rng.normal(size=own.shape)))
        synthetic.sign(path.parent)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    opened = synthetic.project(root, concepts=12)
    half_unseen(opened.items).to_parquet(root / "data/items.parquet")
    blur(root)
    # Another temperature than the default, so that both paths must read it from params.yaml.
    return change(root, train=QUICK, compare={"hop": {"tau": 0.1}})


@pytest.fixture(scope="module")
def bench(project):
    return Bench(project)


@pytest.fixture(scope="module")
def trained(project):
    """The project with stored projectors. Returns the results table of the stage `evaluate`."""
    pipeline.pair(project)
    pipeline.train(project)
    return pipeline.evaluate(project)


def task_of(bench, name):
    return next(task for task in bench.all_tasks if task.name == name)


# By hand: vectors from the files, and scores by loops.


def vectors(project, space, rows):
    """Vectors of rows of one modality, item by item from the banks of a space."""
    modality = rows.modality.iloc[0]
    texts = project.items[project.items.modality == "text"]
    made = []
    for row in rows.itertuples():
        id = texts[texts.caption == row.caption].id.iloc[-1] if modality == "text" else row.id
        for split in ("train", "val", "test"):
            bank = project.bank(space, modality, split)
            if id in set(bank.ids):
                made.append(bank.vectors[list(bank.ids).index(id)])
                break
    return np.stack(made)


def precision(similarity, positive):
    """Average precision of one query."""
    order = sorted(range(len(similarity)), key=lambda k: -similarity[k])
    hits = [bool(positive[k]) for k in order]
    return np.mean([sum(hits[: n + 1]) / (n + 1) for n, hit in enumerate(hits) if hit])


def scores(task, queries, gallery, subset="all"):
    """{metric: mean over the queries of a concept subset}."""
    chosen = {"all": np.ones_like(task.seen), "seen": task.seen, "unseen": ~task.seen}[subset]
    similarity, positive = (queries @ gallery.T)[chosen], task.positive[chosen]
    best = [p[np.argsort(-s)].argmax() for s, p in zip(similarity, positive)]
    made = {f"r{k}": np.mean([rank < k for rank in best]) for k in (1, 5, 10)}
    return made | {"map": np.mean([precision(s, p) for s, p in zip(similarity, positive)])}


def hop_by_hand(x, o_leaf, o_base, tau):
    weights = np.exp(x.astype(float) @ o_leaf.T / tau)
    rows = weights / weights.sum(axis=1, keepdims=True) @ o_base
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_rows_equal_scores_by_hand(project, bench):
    table = pd.DataFrame(bench.rows("hop", 0)).set_index(["task", "concept_subset"])
    assert set(table.index.get_level_values(1)) == {"all", "seen", "unseen"}
    assert list(table.index.unique(0)) == [task.name for task in bench.tasks]

    def in_base(rows):
        modality = rows.modality.iloc[0]
        for leaf, space in (("audio", "mini-audio-text"), ("points", "mini-points")):
            if modality == leaf:
                pools = bench.pools[leaf]
                own = vectors(project, space, rows)
                return hop_by_hand(own, pools.o_leaf, pools.o_base, 0.1)
        return vectors(project, "mini-image-text", rows)

    for name in ("audio->image", "text->audio", "points->image", "audio->points"):
        task = task_of(bench, name)
        ends = in_base(task.queries), in_base(task.gallery)
        for subset in ("all", "seen", "unseen"):
            row = table.loc[name, subset]
            assert row[["r1", "r5", "r10", "map"]].to_dict() == pytest.approx(
                scores(task, *ends, subset), abs=1e-6
            )
            which = {"all": slice(None), "seen": task.seen, "unseen": ~task.seen}[subset]
            share = task.positive[which].mean(axis=1).mean()
            assert row.chance_r1 == pytest.approx(share)
            assert (row.n_queries, row.n_gallery) == task.positive[which].shape


def test_the_results_have_the_methods_tasks_and_order_of_earlier_versions(bench):
    table = pd.DataFrame(results(bench))
    runs = table[table.concept_subset == "all"].groupby("task", sort=False)
    runs = {task: list(zip(part.method, part.seed)) for task, part in runs}
    methods = [(name, 0) for name in ("direct", "lstsq", "procrustes", "hop")]
    methods += [("exmcr", 0), ("exmcr", 1)]
    leaf, base = [*methods, ("leaf", 0)], [("base", 0), ("exmcr", 0), ("exmcr", 1)]
    assert list(runs.items()) == [
        ("audio->image", methods),
        ("image->audio", methods),
        ("audio->text", leaf),
        ("text->audio", leaf),
        ("points->text", leaf),
        ("points->image", leaf),
        ("image->points", leaf),
        ("audio->points", methods),
        ("points->audio", methods),
        ("image->text", base),
        ("text->image", base),
    ]
    assert (table.columns == tables.columns()).all()
    subsets = table.groupby(["task", "method", "seed"], sort=False).concept_subset.agg(list)
    assert all(s in (["all"], ["all", "seen", "unseen"]) for s in subsets)


def test_results_equal_the_code_of_earlier_versions(project, bench):
    """There, leaf vectors passed their map, others stayed in the base, and each task was scored from the whole matrix."""
    fits = {
        (name, seed): bench.fit(name, seed)
        for name, seeds in (("lstsq", [0]), ("procrustes", [0]), ("exmcr", [0, 1]))
        for seed in seeds
    }
    table = pd.DataFrame(results(bench)).set_index(["task", "method", "seed", "concept_subset"])
    for task in bench.all_tasks:
        for (name, seed), maps in fits.items():
            if not bench.reached(task) and name != "exmcr":
                continue
            e = bench.embeddings
            queries, gallery = (e.common(rows, maps) for rows in (task.queries, task.gallery))
            row = table.loc[task.name, name, seed, "all"]
            assert row[["r1", "r5", "r10", "map"]].to_dict() == pytest.approx(
                scores(task, queries, gallery), abs=1e-6
            )


def test_frozen_spaces_are_scored_on_the_tasks_whose_modalities_they_have(project, bench):
    table = pd.DataFrame(bench.reference_rows(bench.all_tasks))
    table = table[table.concept_subset == "all"].set_index("task")
    assert table.method.to_dict() == dict.fromkeys(
        ("audio->text", "text->audio", "points->text", "points->image", "image->points"), "leaf"
    ) | {"image->text": "base", "text->image": "base"}
    for name, space in (("audio->text", "mini-audio-text"), ("image->text", "mini-image-text")):
        task = task_of(bench, name)
        ends = (vectors(project, space, rows) for rows in (task.queries, task.gallery))
        assert table["map"][name] == pytest.approx(scores(task, *ends)["map"], abs=1e-6)


def test_two_leaves_of_a_method_that_changes_the_base_meet_by_their_nearest_overlap_items(bench):
    task = task_of(bench, "audio->points")
    maps = {leaf: cca(pools, dims=8) for leaf, pools in bench.pools.items()}

    def by_hand(leaf, rows):
        pools, own = bench.pools[leaf], bench.embeddings.own(rows)
        similarity = maps[leaf].leaf(own) @ maps[leaf].base(pools.o_base).T
        nearest = np.argsort(-similarity, axis=1)[:, :BRIDGE]
        return unit(pools.o_base[nearest].mean(axis=1))

    queries, gallery = bench.common(task, maps)
    assert np.allclose(queries, by_hand("audio", task.queries), atol=1e-5)
    assert np.allclose(gallery, by_hand("points", task.gallery), atol=1e-5)
    assert np.allclose(bench.similarity(task, maps), queries @ gallery.T)


def test_one_leaf_of_a_method_that_changes_the_base_meets_it_in_the_common_space(bench):
    task = task_of(bench, "image->audio")
    maps = {leaf: cca(pools, dims=8) for leaf, pools in bench.pools.items()}
    queries, gallery = bench.common(task, maps)
    own = bench.embeddings.own
    assert np.allclose(queries, maps["audio"].base(own(task.queries)))
    assert np.allclose(gallery, maps["audio"].leaf(own(task.gallery)))


def test_fewer_overlap_items_than_the_bridge_has_are_all_averaged():
    o_base = unit(np.random.default_rng(0).normal(size=(3, 4)))
    maps = Maps(leaf=lambda x: x, base=lambda y: y)
    rows = into_base(maps, o_base[:2], o_base)
    assert np.allclose(rows, unit(o_base.mean(axis=0, keepdims=True)))


def test_a_post_processor_gets_the_training_vectors_of_both_modalities(bench, monkeypatch):
    shapes = []

    def after(queries, gallery, query_bank, gallery_bank):
        shapes.append([len(v) for v in (queries, gallery, query_bank, gallery_bank)])
        return queries @ gallery.T

    task, maps = task_of(bench, "audio->image"), bench.fit("hop", 0)
    plain = bench.similarity(task, maps)
    assert np.allclose(bench.similarity(task, maps, after), plain)
    audio = bench.pools["audio"]
    assert shapes == [[24, 24, len(audio.x_leaf), len(audio.y_base)]]
    monkeypatch.setitem(METHODS, "hop+nothing", Method(METHODS["hop"].fit, after=after))
    (row, *_), (own, *_) = bench.score(task, "hop+nothing", 0), bench.score(task, "hop", 0)
    assert row == own | {"method": "hop+nothing"}


def test_ranks_are_those_of_the_similarities(bench):
    task, maps = task_of(bench, "audio->points"), bench.fit("hop", 0)
    after = after_of(bench.params, "hop+inverted-softmax")
    for chosen in (None, after):
        similarity = bench.similarity(task, maps, chosen)
        best = similarity.max(axis=1, initial=-np.inf, where=task.positive)
        first = 1 + (similarity > best[:, None]).sum(axis=1)
        assert [ranks[0] for ranks in bench.ranks(task, maps, chosen)] == first.tolist()


# Fits


def test_methods_that_differ_only_in_their_post_processor_share_one_fit(bench):
    assert bench.fit("hop", 0) is bench.fit("hop+invgc", 0)
    assert bench.fit("hop", 0) is not bench.fit("lstsq", 0)
    assert bench.fit("relative", 0) is not bench.fit("relative", 1)


def test_other_parameters_give_another_fit(bench):
    other = bench.params.model_copy(update={"compare": {"hop": {"tau": 1.0}}})
    assert bench.fit("hop", 0, other) is not bench.fit("hop", 0)
    assert bench.fit("hop", 0, bench.params) is bench.fit("hop", 0)


def test_trained_maps_take_the_place_of_a_fit(project):
    stored = {leaf.name: Maps(leaf=identity) for leaf in project.leaves}
    bench = Bench(project, trained={("exmcr", 0): stored})
    assert bench.fit("exmcr", 0) is bench.fit("exmcr+centering", 0) is stored
    assert bench.fit("exmcr", 0, bench.params) is not stored, "other parameters need a fit"


def test_a_method_that_cannot_serve_a_leaf_is_left_out_and_the_reason_printed_once(
    project, monkeypatch, capsys
):
    def fit(pools, seed=0):
        if pools.names["leaf"] == "points":
            raise NotApplicable("no shapes, please")
        return Maps(leaf=identity)

    monkeypatch.setitem(METHODS, "picky", Method(fit))
    bench = Bench(project)
    names = {row["task"] for row in bench.rows("picky", 0) + bench.on("val").rows("picky", 0)}
    assert names == {"audio->image", "image->audio", "audio->text", "text->audio"}
    message = "'picky' is left out of the results with the points leaf: no shapes, please"
    assert capsys.readouterr().out.count(message) == 1


def test_an_unknown_method_is_an_error(bench):
    with pytest.raises(ConfigError, match="unknown method 'telepathy'"):
        bench.rows("telepathy", 0)


def test_a_wrong_setting_is_an_error_before_any_work(tmp_path):
    synthetic.project(tmp_path, concepts=4)
    project = change(tmp_path, compare={"hop": {"temperature": 1}})
    with pytest.raises(ConfigError, match="compare.hop.temperature: unknown setting; known: tau"):
        Bench(project)


# Splits and tasks


def test_another_split_shares_fits_and_vectors(project, bench):
    validation = bench.on("val")
    assert (bench.split, validation.split) == ("test", "val")
    assert [task.name for task in validation.tasks] == [task.name for task in bench.tasks]
    assert {task.queries.split.iloc[0] for task in validation.tasks if "split" in task.queries} == {
        "val"
    }
    assert validation.fit("hop", 0) is bench.fit("hop", 0)
    assert validation.embeddings is bench.embeddings
    assert validation.rows("hop", 0) == Bench(project, "val").rows("hop", 0)


def test_a_project_without_tasks_of_a_leaf_is_an_error(tmp_path):
    project = synthetic.project(tmp_path, concepts=4)
    items = project.items[project.items.modality.isin(["image", "text"])]
    items.to_parquet(tmp_path / "data/items.parquet")
    message = "no task with the modality of a leaf has data on the test split of corpora 'mini'"
    with pytest.raises(ConfigError, match=message):
        Bench(Project(tmp_path))


def test_the_digest_of_inputs_changes_with_banks_and_tasks(project, bench, tmp_path):
    other = synthetic.project(tmp_path, concepts=12)
    changed = Bench(other)  # other concepts in training, other vectors
    assert bench.inputs() == Bench(project).inputs()
    assert len({bench.inputs(), bench.on("val").inputs(), changed.inputs()}) == 3
    before = changed.inputs()
    for manifest in sorted((tmp_path / "banks/mini-points").glob("*/*/manifest.json")):
        manifest.write_text(manifest.read_text().replace("synthetic", "another"))
    assert Bench(Project(tmp_path)).inputs() != before


# The stage `evaluate` and the comparison are one path.


def same_numbers(evaluated, compared):
    """Rows of the methods that both tables have."""
    keys = ["task", "concept_subset", "method", "seed"]
    shared = sorted({"hop", "exmcr", "leaf"})
    leaf_tasks = set(compared.task)
    parts = [
        table[table.method.isin(shared) & table.task.isin(leaf_tasks)]
        .sort_values(keys)
        .reset_index(drop=True)
        for table in (evaluated, compared)
    ]
    assert len(parts[0]) > 80 and set(parts[0].method) == set(shared)
    assert set(parts[0].concept_subset) == {"all", "seen", "unseen"}
    assert parts[0]["map"].between(0.1, 0.9).mean() > 0.5, "the scores are not all perfect"
    pd.testing.assert_frame_equal(*parts, rtol=0, atol=1e-6, check_dtype=False)


def test_the_comparison_and_the_results_have_the_same_numbers(project, trained):
    compared = compare(project, ["hop", "exmcr"])[0]
    same_numbers(trained, compared)
    stored = [pd.read_csv(project.reports / f"{n}.csv") for n in ("results", "compare")]
    same_numbers(*stored)


def test_they_have_the_same_numbers_if_no_projector_is_stored(project, trained, tmp_path):
    for part in ("data", "banks", "params.yaml"):
        (tmp_path / part).symlink_to(project.root / part)
    other = Project(tmp_path)
    with pytest.raises(ConfigError, match="projector"):
        trained_maps(other)
    same_numbers(trained, compare(other, ["hop", "exmcr"])[0])


def test_the_hop_has_one_temperature(project, trained):
    """That of `compare` in params.yaml, also in the results of `evaluate`."""
    bench = Bench(project)
    task = task_of(bench, "audio->image")
    expected = {}
    for tau in (0.01, 0.1):
        pools = bench.pools["audio"]
        own = vectors(project, "mini-audio-text", task.queries)
        queries = hop_by_hand(own, pools.o_leaf, pools.o_base, tau)
        gallery = vectors(project, "mini-image-text", task.gallery)
        expected[tau] = scores(task, queries, gallery)["map"]
    assert abs(expected[0.1] - expected[0.01]) > 0.01
    hop = trained[(trained.method == "hop") & (trained.task == "audio->image")]
    assert hop[hop.concept_subset == "all"]["map"].item() == pytest.approx(expected[0.1], abs=1e-6)


# A further leaf modality


class Depth(Space):
    name, dim, modalities = "depth", 16, ("depth", "text")

    def encode_batch(self, modality, items):
        raise NotImplementedError


@pytest.fixture
def with_depth(tmp_path, monkeypatch):
    """The synthetic project with a third leaf, for depth maps, that shares texts with the base."""
    monkeypatch.setitem(MODALITIES, "depth", MODALITIES["image"])
    monkeypatch.setitem(SPACES, "depth", f"{__name__}:Depth")
    project = synthetic.project(tmp_path, concepts=12)
    images = project.items[project.items.modality == "image"]
    depth = images.assign(modality="depth", id="depth/" + images.id)
    pd.concat([project.items, depth]).to_parquet(tmp_path / "data/items.parquet")
    # Its space sees what the space of sounds sees, through other axes.
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(16, 16)))[0]
    for split in ("train", "val", "test"):
        texts = project.bank("mini-audio-text", "text", split)
        rows = depth[depth.split == split]
        sounds = project.bank("mini-audio-text", "audio", split)
        for modality, ids, own in (("text", texts.ids, texts), ("depth", rows.id, sounds)):
            folder = tmp_path / "banks/depth" / modality / split
            synthetic._write_bank(folder, pd.Series(ids), own.vectors @ turn)
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    leaf = {"name": "depth", "modality": "depth", "overlap": "text", "mini": "depth"}
    content["leaves"].append(leaf)
    content["train"] |= QUICK
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    return Project(tmp_path)


def test_a_further_leaf_is_fitted_and_scored_against_all_other_modalities(with_depth):
    bench = Bench(with_depth)
    others = ("image", "text", "audio", "points")
    added = {f"{a}->{b}" for m in others for a, b in (("depth", m), (m, "depth"))}
    assert added <= {task.name for task in bench.tasks}
    emergent = {task.name for task in bench.emergent}
    assert emergent == set(EMERGENT) | added - {"depth->text", "text->depth"}
    table = pd.DataFrame(bench.rows("hop", 0)).set_index("task")
    assert (table.loc[sorted(added), "map"] > 2 * table.loc[sorted(added), "chance_map"]).all()
    reference = {row["task"] for row in bench.reference_rows(bench.tasks)}
    assert {"depth->text", "text->depth"} <= reference and "depth->image" not in reference


def test_a_further_leaf_goes_through_every_stage_and_the_comparison(with_depth):
    pipeline.pair(with_depth)
    pipeline.train(with_depth)
    evaluated = pipeline.evaluate(with_depth)
    for name in ("depth->image", "depth->audio", "points->depth"):
        methods = set(evaluated[evaluated.task == name].method)
        assert methods == {"direct", "lstsq", "procrustes", "hop", "exmcr"}
    geometry = pd.read_csv(with_depth.reports / "geometry.csv")
    assert "depth" in set(geometry["from"])
    compared, ranking, *_ = compare(with_depth, ["hop"])
    both = [
        table[(table.method == "hop") & (table.task == "depth->image")]["map"].item()
        for table in (evaluated, compared)
    ]
    assert both[0] == pytest.approx(both[1], abs=1e-6)
    mean = compared[(compared.method == "hop") & compared.task.isin(emergent_names(with_depth))]
    assert ranking["map"][0] == pytest.approx(mean["map"].mean(), abs=1e-6)


def emergent_names(project):
    return [task.name for task in Bench(project).emergent]
