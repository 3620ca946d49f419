"""Concepts and answers, on tasks whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from exmcr.common.errors import ConfigError
from exmcr.evaluation import matching
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.evaluation.tasks import Task
from exmcr.figures import concepts, geometry, tasks
from exmcr.methods.maps import Maps

RIGHT, WRONG = (
    {"audio": Maps(leaf=lambda v: v)},
    {"audio": Maps(leaf=lambda v: np.roll(v, 1, axis=1))},
)


class Bench:
    """Six sounds of three concepts, four images; maps turn the sounds' vectors towards their images, or not."""

    def __init__(self):
        queries = pd.DataFrame({"id": list("abcdef"), "modality": "audio"})
        queries["concept"] = ["dog", "dog", "cat", "cat", "cow", "cow"]
        gallery = pd.DataFrame({"id": list("wxyz"), "modality": "image"})
        gallery["concept"] = ["dog", "cat", "cow", ""]
        positive = queries.concept.to_numpy()[:, None] == gallery.concept.to_numpy()
        seen = np.array([True] * 4 + [False] * 2)
        d = np.eye(4, dtype=np.float32)
        self.vectors = dict(zip("abcdefwxyz", d[[0, 0, 1, 1, 2, 2, 0, 1, 2, 3]], strict=True))
        self.all_tasks = [Task("audio->image", queries, gallery, positive, seen)]
        self.split, self.params = "test", SimpleNamespace(seeds=[3, 4])
        heard = {"modality": "audio", "split": "train", "concept": ["dog", "dog", "cat"]}
        self.project = SimpleNamespace(items=pd.DataFrame(heard))

    def common(self, task, maps):
        queries, gallery = (
            np.stack([self.vectors[i] for i in x.id]) for x in (task.queries, task.gallery)
        )
        return maps["audio"].leaf(queries), gallery

    def similarity(self, task, maps):
        queries, gallery = self.common(task, maps)
        return queries @ gallery.T

    def ranks(self, task, maps, after=None):
        similarity = self.similarity(task, maps)
        return ranks_of_positives(after(similarity) if after else similarity, task.positive)

    def fit(self, name, seed):
        return RIGHT


@pytest.fixture
def bench():
    return Bench()


def test_methods_are_compared_concept_by_concept_over_their_seeds(bench):
    found = concepts.by_method(
        bench, "audio->image", {"hop": [RIGHT], "exmcr": [RIGHT, WRONG]}
    ).set_index("concept")
    assert found.n.tolist() == [2, 2, 2] and found.seen.to_dict() == {
        "dog": True,
        "cat": True,
        "cow": False,
    }
    assert (found.hop == 1).all()
    # Turned wrong, everything right ties behind one wrong answer and the ties: the fourth of four.
    assert found.exmcr.tolist() == pytest.approx([(1 + 0.25) / 2] * 3)


def test_methods_are_fitted_by_the_bench_with_each_seed_that_matters(bench):
    fits = []
    bench.fit = lambda name, seed: fits.append((name, seed)) or RIGHT
    assert {name: len(maps) for name, maps in concepts.fitted(bench).items()} == {
        "hop": 1,
        "procrustes": 1,
        "exmcr": 2,
    }
    assert fits == [("hop", 0), ("procrustes", 0), ("exmcr", 3), ("exmcr", 4)]
    with pytest.raises(ConfigError, match="unknown method 'hopp'"):
        concepts.fitted(bench, ["hopp"])


def test_geometry_of_methods_is_that_of_their_queries(bench):
    found = geometry.by_method(bench, "audio->image", {"hop": [RIGHT], "exmcr": [WRONG]})
    assert found.alignment.to_dict() == {"hop": 0.0, "exmcr": 2.0} and found["map"].to_dict() == {
        "hop": 1.0,
        "exmcr": 0.25,
    }
    assert found.effective_rank.tolist() == pytest.approx([3, 3]) and set(found.columns) >= {
        "gap",
        "hubness",
        "uniformity",
    }


def test_best_and_worst_concepts_say_what_was_in_training_and_what_they_are_mistaken_for(bench):
    maps = {
        "audio": Maps(leaf=lambda v: np.where(np.arange(6)[:, None] < 4, v, np.roll(v, 1, axis=1)))
    }  # cows are taken for nothing known
    bench.fit = lambda name, seed: {("exmcr", 3): maps}[name, seed]
    found = concepts.best_and_worst(bench, "audio->image", n=1)
    assert found.index.tolist() == ["cat", "cow"] and found["map"].tolist() == [1.0, 0.25]
    assert found["training items"].tolist() == [1, 0] and found["right answers"].tolist() == [1, 1]
    assert found["mistaken for"].tolist() == ["", "(no concept)"]
    assert len(concepts.best_and_worst(bench, "audio->image", n=9)) == 3, "no concept twice"


@pytest.mark.parametrize("limit", [1, 8, 12, 24])
def test_concepts_of_a_large_task_are_scored_in_blocks_of_queries(bench, monkeypatch, limit):
    maps = {"audio": Maps(leaf=lambda v: np.where(np.arange(6)[:, None] % 4, v, np.roll(v, 1, 1)))}
    bench.fit = lambda name, seed: maps
    whole = (*concepts.by_concept(bench, "audio->image"),)
    table = concepts.best_and_worst(bench, "audio->image")
    assert len(whole[1]) == 2, "two concepts are mistaken"
    monkeypatch.setattr(matching, "DENSE", limit)
    bench.all_tasks[0].positive = csr_array(bench.all_tasks[0].positive)
    for one, other in zip(whole, concepts.by_concept(bench, "audio->image"), strict=True):
        pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(table, concepts.best_and_worst(bench, "audio->image"))


def test_methods_are_compared_with_their_post_processors(bench, monkeypatch):
    def after_of(params, name):
        assert params is bench.params
        return {"hop": None, "hop+reversed": lambda similarity: similarity[:, ::-1]}[name]

    monkeypatch.setattr(concepts, "after_of", after_of)
    monkeypatch.setattr(geometry, "after_of", after_of)
    methods = {"hop": [RIGHT], "hop+reversed": [RIGHT]}
    found = concepts.by_method(bench, "audio->image", methods)
    assert (found.hop == 1).all() and (found["hop+reversed"] < 1).all()
    score = geometry.by_method(bench, "audio->image", methods)["map"]
    assert score["hop+reversed"] == pytest.approx(found["hop+reversed"].mean()) and score.hop == 1


def test_answers_are_of_different_concepts_best_first(bench):
    bench.fit = lambda name, seed: {("exmcr", 3): RIGHT}[name, seed]
    queries, answers, right = concepts.task_answers(bench, "audio->image", n=2, most=3)
    assert len({query.concept for query in queries}) == 2 and [len(line) for line in answers] == [
        3,
        3,
    ]
    assert right == [[True, False, False]] * 2 and [line[0].concept for line in answers] == [
        query.concept for query in queries
    ]


def test_a_benchmark_stands_in_for_the_task_of_its_direction(bench):
    (task,) = bench.all_tasks
    bench.all_tasks = [
        Task("audio->image (ave)", task.queries, task.gallery, task.positive, task.seen)
    ]
    assert tasks.find_task(bench, "audio->image").name == "audio->image (ave)"
    bench.all_tasks.append(task)
    assert tasks.find_task(bench, "audio->image") is task, "the exact name comes first"


def test_a_task_without_data_is_named(bench):
    assert (
        tasks.find_task(bench, "points->image") is None
        and concepts.task_answers(bench, "points->image", n=2) is None
    )
    for ask in (
        concepts.by_concept,
        lambda bench, name: concepts.by_method(bench, name, {"hop": [RIGHT]}),
    ):
        with pytest.raises(
            ConfigError, match="no task 'points->image' on the test split; tasks: audio->image"
        ):
            ask(bench, "points->image")


def test_figures_of_concepts_show_every_concept(bench):
    scores, taken = concepts.by_concept(bench, "audio->image")
    assert taken.empty
    figure = concepts.concept_scores(scores, "title")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert sorted(names) == ["cat (2)", "cow (2)", "dog (2)"]
    few = concepts.concept_scores(scores, "title", most=2).axes
    assert [len(axis.patches) for axis in few] == [1, 1], "the best, and the worst"
    table = concepts.by_method(bench, "audio->image", {"hop": [WRONG], "exmcr": [RIGHT]})
    axis = concepts.concept_by_concept(table, "hop", "exmcr", "title").axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("hop: mAP (%)", "exmcr: mAP (%)")
    assert [text.get_text() for text in axis.texts] == ["cat"], "names at one place would overlap"


def geometry_rows(*modalities):
    both = [(a, b) for a in modalities for b in modalities if a != b]
    measures = dict.fromkeys(("gap", "alignment", "hubness", "uniformity", "effective_rank"), 1.0)
    return pd.DataFrame(
        [
            {"items": "test", "stage": stage, "from": a, "to": b} | measures
            for stage in ("before", "after")
            for a, b in both
        ]
    )


def test_geometry_draws_every_modality_in_the_order_of_the_registry(smell):
    figure = geometry.before_and_after(geometry_rows("smell", "image", "text"))
    labels = [[label.get_text() for label in axis.get_yticklabels()] for axis in figure.axes[:5]]
    assert (
        sorted(labels[0]) == ["image – smell", "text – image", "text – smell"]
        and len(labels[2]) == 6
    )
    assert sorted(labels[3]) == ["image", "smell", "text"]


def test_geometry_of_pools_has_no_alignment():
    table = geometry_rows("text", "image").assign(items="pool", alignment=np.nan)
    figure = geometry.before_and_after(table, "pool")
    assert [axis.get_visible() for axis in figure.axes] == [True] * 4 + [
        False
    ] * 2 and "training pools" in figure.get_suptitle()


def test_geometry_of_a_modality_that_is_not_registered_is_an_error():
    with pytest.raises(ConfigError, match="unknown modality 'taste'"):
        geometry.before_and_after(geometry_rows("image", "taste"))
