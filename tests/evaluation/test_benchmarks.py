"""Tasks of the paper's benchmarks: partners, zero-shot classification of every modality, several classes per item, and
right answers that are too many pairs for an array."""

import tracemalloc
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy.sparse import csr_array, issparse
from sklearn.metrics import average_precision_score

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.corpora import items as table
from exmcr.evaluation import matching, metrics, ranking, tables
from exmcr.evaluation.bench import Bench
from exmcr.evaluation.benchmarks import by_partner
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.matching import flipped, right_answers, same, sharing
from exmcr.evaluation.tasks import tasks
from exmcr.project import Project


def item(id, modality, concept="", source="esc50", of="", caption="", **more):
    row = table.row(id, modality, [caption], concept, source, "free", id, split="test", of=of)
    return row | more


def prompts(source, classes, n):
    return [
        item(f"{source}/prompt/{c}/{k}", "text", c, source, caption=f"{k} of {c}")
        for c in classes
        for k in range(n)
    ]


def found(rows):
    return {task.name: task for task in by_partner(pd.DataFrame(rows))}


def dense(positive):
    return positive.toarray() if issparse(positive) else positive


@pytest.mark.parametrize(
    "modality, source", [("audio", "esc50"), ("image", "imagenet"), ("points", "scanobjectnn")]
)
@pytest.mark.parametrize("n", [1, 3])
def test_every_modality_with_class_prompts_is_classified(modality, source, n):
    rows = [item(f"x{k}", modality, c, source) for k, c in enumerate("abba")]
    made = found(rows + prompts(source, "abc", n))
    assert list(made) == [f"{modality}->text ({source})"]
    (task,) = made.values()
    assert task.gallery.concept.tolist() == ["a", "b", "c"], (
        "a class without items is a wrong answer"
    )
    assert task.gallery.captions.tolist() == [[f"{k} of {c}" for k in range(n)] for c in "abc"]
    assert task.positive.tolist() == [[c == name for name in "abc"] for c in "abba"]
    assert not task.seen.any()


@pytest.mark.parametrize("n", [1, 3])
def test_a_class_has_the_unit_mean_of_its_prompts_be_it_one_or_several(n):
    rows = pd.DataFrame([item("x", "audio", "b")] + prompts("esc50", "ab", n))
    (task,) = by_partner(rows)
    texts = rows[rows.modality == "text"]
    vectors = unit(np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32))
    embeddings = Embeddings(SimpleNamespace(items=rows, params=None))
    embeddings._banks["clip", "text"] = dict(zip(texts.id, vectors))
    expected = unit(vectors.reshape(2, n, 8).mean(axis=1))
    np.testing.assert_allclose(embeddings.vectors("clip", task.gallery), expected, atol=1e-6)
    assert embeddings.complete("clip", task.gallery)


def test_top_1_and_top_5_are_the_shares_of_items_whose_class_is_among_the_best():
    rows = [item(f"x{k}", "audio", c) for k, c in enumerate("abcdefgh" * 5)]
    (task,) = found(rows + prompts("esc50", "abcdefgh", 2)).values()
    similarity = np.random.default_rng(0).normal(size=(40, 8))
    (row,) = tables.rows_of_similarity(task, "m", 0, similarity)
    order = np.argsort(-similarity, axis=1)
    right = np.array(["abcdefgh".index(c) for c in task.queries.concept])[:, None]
    assert row["r1"] == pytest.approx((order[:, :1] == right).mean())
    assert row["r5"] == pytest.approx((order[:, :5] == right).any(axis=1).mean())
    assert (row["n_queries"], row["n_gallery"], row["chance_r1"]) == (40, 8, 1 / 8)


def test_a_corpus_with_partners_and_prompts_has_both_kinds_of_task():
    rows = [item(f"p{k}", "points", c, "objaverse") for k, c in enumerate("ab")]
    rows += [item(f"i{k}", "image", c, "objaverse", of=f"p{k}") for k, c in enumerate("ab")]
    made = found(rows + prompts("objaverse", "ab", 2))
    names = ["points->image", "image->points", "points->text"]
    assert list(made) == [f"{name} (objaverse)" for name in names], "renders are not classified"


def test_captions_and_class_prompts_of_one_modality_are_an_error():
    rows = [item("x", "audio", "a"), item("x/0", "text", of="x", caption="a sound")]
    with pytest.raises(ConfigError, match=r"audio->text \(esc50\).*delete `prompts`"):
        found(rows + prompts("esc50", "ab", 1))


# several classes per item

LABELS = [["a", "b"], ["b"], ["c", "a"], ["b", "c"], ["a"], ["unknown", "c"]]


def clips():
    rows = [item(f"x{k}", "audio", ", ".join(own), labels=own) for k, own in enumerate(LABELS)]
    return rows + prompts("esc50", "abcd", 2)


def test_items_with_several_classes_match_each_and_classes_rank_all_items():
    made = found(clips())
    assert list(made) == ["audio->text (esc50)", "text->audio (esc50)"]
    task, reverse = made.values()
    right = [[c in own for c in "abcd"] for own in LABELS]
    assert task.positive.tolist() == right
    assert reverse.queries.concept.tolist() == ["a", "b", "c"], "no clip is of class d"
    assert reverse.positive.tolist() == np.array(right).T[:3].tolist()
    assert reverse.gallery.id.tolist() == task.queries.id.tolist()


def average_precision(scores, right):
    """Literally: walk down the ranking, and average the precision at each right answer."""
    hits, total = 0, 0.0
    for place, k in enumerate(sorted(range(len(scores)), key=lambda k: -scores[k]), 1):
        if right[k]:
            hits += 1
            total += hits / place
    return total / hits


@pytest.mark.parametrize("seed", range(3))
def test_map_over_classes_is_the_macro_mean_of_class_wise_average_precision(seed):
    rng = np.random.default_rng(seed)
    names = list("abcdefg")
    labels = [rng.choice(names[:6], size=rng.integers(1, 4), replace=False) for _ in range(60)]
    rows = [item(f"x{k}", "audio", "", labels=list(own)) for k, own in enumerate(labels)]
    task = found(rows + prompts("esc50", names, 1))["text->audio (esc50)"]
    clips, classes = unit(rng.normal(size=(60, 5))), unit(rng.normal(size=(7, 5)))
    scores = clips @ classes.T
    right = np.array([[name in own for name in names] for own in labels])
    (row,) = tables.rows_of_vectors(task, "m", 0, classes[:6], clips)
    literal = [average_precision(scores[:, c], right[:, c]) for c in range(6)]
    assert row["map"] == pytest.approx(np.mean(literal), abs=1e-12)
    assert row["map"] == pytest.approx(
        average_precision_score(right[:, :6], scores[:, :6], average="macro"), abs=1e-12
    )
    assert (row["n_queries"], row["n_gallery"]) == (6, 60)


@pytest.mark.parametrize("missing", [None, np.nan, [], np.array([])], ids=repr)
def test_an_item_without_labels_has_the_class_of_its_concept(missing):
    rows = [
        item("x0", "audio", "a", labels=missing),
        item("x1", "audio", "a, b", labels=["a", "b"]),
    ]
    task = found(rows + prompts("esc50", "ab", 1))["audio->text (esc50)"]
    assert task.positive.tolist() == [[True, False], [True, True]]


def test_labels_survive_the_file_of_the_item_table(tmp_path):
    pd.DataFrame(clips()).to_parquet(tmp_path / "items.parquet")
    stored = {t.name: t for t in tasks(pd.read_parquet(tmp_path / "items.parquet"), "test")}
    for name, task in found(clips()).items():
        assert np.array_equal(stored[name].positive, task.positive)


# from banks to scores


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Test sounds of twelve kinds as clips with two classes each, and two prompts per class."""
    project = synthetic.project(tmp_path_factory.mktemp("project"), concepts=12)
    items = project.items
    held_out = (items.split == "test") & items.modality.isin(["audio", "text"])
    names = [f"thing {k}" for k in range(12)]
    nexts = [names[(names.index(c) + 1) % 12] for c in items.concept]
    audio = held_out & (items.modality == "audio")
    labels = [[c, n] if a else [] for c, n, a in zip(items.concept, nexts, audio)]
    items = items.assign(labels=labels, source=items.source.where(~held_out, "audioset"))
    items.to_parquet(project.items_path)
    return Bench(Project(project.root))


def test_a_benchmark_is_scored_from_banks_with_the_mean_of_the_prompts_of_each_class(bench):
    task, reverse = (t for t in bench.tasks if t.name.endswith("(audioset)"))
    assert task.gallery.captions.map(len).tolist() == [2] * 12
    maps = bench.fit("hop", 0)
    clips, classes = bench.common(task, maps)
    texts = bench.project.items.query("modality == 'text' and split == 'test'")
    by_hand = pd.DataFrame(bench.embeddings.own(texts)).groupby(texts.concept.to_numpy()).mean()
    np.testing.assert_allclose(
        classes, unit(by_hand.loc[task.gallery.concept].to_numpy()), atol=1e-6
    )
    right = np.array([[c in own for c in task.gallery.concept] for own in task.queries.labels])
    rows = {(r["task"], r["concept_subset"]): r for r in bench.rows("hop", 0)}
    literal = average_precision_score(right, clips @ classes.T, average="macro")
    assert rows[reverse.name, "all"]["map"] == pytest.approx(literal, abs=1e-6)
    assert rows[reverse.name, "all"]["n_queries"] == 12 and not task.seen.any()
    assert rows[task.name, "all"]["r1"] > 3 * rows[task.name, "all"]["chance_r1"]
    (leaf, _) = (r for r in bench.reference_rows([task, reverse]))
    assert leaf["method"] == "leaf" and leaf["n_gallery"] == 12


def test_sparse_maps_are_ranked_by_blocks_to_the_same_ranks(bench, monkeypatch):
    maps = bench.fit("asif", 0)
    for task in bench.tasks[:4]:
        whole = bench.ranks(task, maps)
        with monkeypatch.context() as patch:
            patch.setattr(ranking, "BLOCK", 30)
            blocks = bench.ranks(task, maps)
        assert all(np.array_equal(a, b) for a, b in zip(whole, blocks, strict=True))


def test_a_task_whose_similarities_a_post_processor_cannot_hold_is_left_out_and_named(
    bench, monkeypatch, capsys
):
    task = bench.tasks[0]
    assert bench.score(task, "hop+mean-shift", 0)
    monkeypatch.setattr("exmcr.evaluation.bench.HELD", 10)
    capsys.readouterr()
    assert bench.score(task, "hop+mean-shift", 0) == [] and bench.score(task, "hop", 0)
    said = capsys.readouterr().out
    assert said == f"{task.name} is left out of methods that post-process: it is too large\n"
    assert bench.score(task, "hop+mean-shift", 0) == bench.score(task, "hop+qb-norm", 0) == []
    assert bench.with_pools(bench.pools).score(task, "hop+mean-shift", 0) == []
    assert capsys.readouterr().out == "", "it is named once"


def test_the_digest_of_a_task_with_sparse_right_answers_depends_on_them(bench):
    task = bench.tasks[0]
    digests = [bench.inputs()]
    for change in (task.positive, np.roll(task.positive, 1, axis=1)):
        other = copy(bench)
        other.tasks = [replace(task, positive=csr_array(change)), *bench.tasks[1:]]
        digests.append(other.inputs())
    assert len(set(digests)) == 3


# many pairs


@pytest.fixture
def sparse(monkeypatch):
    monkeypatch.setattr(matching, "DENSE", 0)


@pytest.mark.parametrize("seed", range(20))
def test_sparse_right_answers_are_the_dense_ones(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    names = np.array(["", "a", "b", "c", "dd", "e"])
    n, m = rng.integers(1, 30, size=2)
    a, b = (pd.Series(rng.choice(names, size=size)) for size in (n, m))
    labels = [list(rng.choice(names[1:], size=rng.integers(0, 4))) for _ in range(n)]
    literal = np.array([[x == y and x != "" for y in b] for x in a])
    shared = np.array([[name in own for name in names[1:4]] for own in labels])
    for limit in (n * m, 0):
        monkeypatch.setattr(matching, "DENSE", limit)
        positive, classes = same(a, b), sharing(labels, names[1:4].tolist())
        assert issparse(positive) == (limit == 0)
        assert np.array_equal(dense(positive), literal) and np.array_equal(dense(classes), shared)
        assert np.array_equal(dense(flipped(positive)), literal.T)
        assert right_answers(positive).tolist() == literal.sum(axis=1).tolist()
        assert metrics.chance(positive) == metrics.chance(literal)


def retrieval(n):
    rows = [item(f"p{k}", "points", source="objaverse") for k in range(n)]
    return rows + [item(f"i{k}", "image", source="objaverse", of=f"p{k}") for k in range(n)[::-1]]


def test_the_tasks_and_their_scores_are_the_same_with_sparse_right_answers(monkeypatch):
    rows = retrieval(40) + clips() + [item("i40", "image", source="objaverse", of="p3")]
    whole = found(rows)
    monkeypatch.setattr(matching, "DENSE", 0)
    rng = np.random.default_rng(0)
    for name, task in found(rows).items():
        assert isinstance(task.positive, csr_array)
        assert np.array_equal(task.positive.toarray(), whole[name].positive)
        assert task.queries.equals(whole[name].queries) and task.gallery.equals(whole[name].gallery)
        assert np.array_equal(task.right([2, 0]), whole[name].positive[[2, 0]])
        # Small whole numbers: products are exact, so that tiles and the whole matrix agree.
        q, g = (
            rng.integers(-2, 3, size=(len(v), 6)).astype(np.float32)
            for v in (task.queries, task.gallery)
        )
        assert tables.rows_of_vectors(task, "m", 0, q, g) == tables.rows_of_similarity(
            whole[name], "m", 0, q @ g.T
        )


def test_a_gallery_of_thousands_never_becomes_a_matrix(sparse, monkeypatch):
    """Bytes of Python and NumPy while the tasks are made and scored: those of one bool matrix would be n * n."""
    n = 3000
    monkeypatch.setattr(metrics, "DRAWS", 10_000)  # resamples have a bound of their own
    rows = pd.DataFrame(retrieval(n))
    vectors = unit(np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32))
    tracemalloc.start()
    try:
        for task in by_partner(rows):
            (row,) = tables.rows_of_vectors(task, "m", 0, vectors, vectors[::-1])
            assert row["r1"] == 1.0 and row["n_gallery"] == n
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * n * n
