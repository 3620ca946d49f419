"""Tables behind the figures of the notebooks, on numbers whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from exmcr.figures import looks
from exmcr.evaluation import tables as table
from exmcr.evaluation.tasks import Task
from exmcr.methods.maps import Maps


def row(task, method, value, seed=0, split="all"):
    return dict.fromkeys(table.COLUMNS, 0.5) | {"task": task, "split": split, "method": method, "seed": seed, "map": value}


RESULTS = pd.DataFrame([
    row("image->text", "base", 0.8), row("image->text", "exmcr", 0.8, 0), row("image->text", "exmcr", 0.8, 1),
    row("audio->text", "leaf", 0.4), row("audio->text", "exmcr", 0.1, 0), row("audio->text", "exmcr", 0.3, 1), row("audio->text", "hop", 0.1),
    row("audio->image", "exmcr", 0.2), row("audio->text", "exmcr", 0.9, split="seen"),
])  # fmt: skip


def test_what_is_kept_is_the_share_of_the_frozen_space():
    found = looks.kept(RESULTS).set_index(["task", "method"])
    assert set(found.index) == {("image->text", "exmcr"), ("audio->text", "exmcr"), ("audio->text", "hop")}, "no space has sounds and pictures"
    assert found.share.round(6).to_dict() == {("image->text", "exmcr"): 1.0, ("audio->text", "exmcr"): 0.5, ("audio->text", "hop"): 0.25}


def test_the_base_is_compared_seed_by_seed():
    found = looks.base_before_and_after(RESULTS)
    assert found.task.tolist() == ["image->text"] and found["largest difference"].tolist() == [0.0]
    # Two seeds that err in opposite ways have the base's mean; the difference tells.
    worse = RESULTS.copy()
    worse.loc[1, "map"], worse.loc[2, "map"] = 0.7, 0.9
    found = looks.base_before_and_after(worse)
    assert found["map after"][0] == pytest.approx(0.8) and found["largest difference"][0] == pytest.approx(0.1)


def test_compared_methods_are_added_once(tmp_path):
    project = SimpleNamespace(root=tmp_path)
    assert looks.with_compared(project, RESULTS) is RESULTS
    (tmp_path / "reports").mkdir()
    pd.DataFrame([row("audio->text", "cmcr", 0.2), row("audio->text", "hop", 0.99)]).to_csv(tmp_path / "reports/compare.csv", index=False)
    found = looks.with_compared(project, RESULTS)
    assert len(found) == len(RESULTS) + 1 and (found.method == "cmcr").sum() == 1
    assert looks.kept(found).set_index(["task", "method"]).share["audio->text", "cmcr"] == pytest.approx(0.5)


@pytest.fixture
def project(monkeypatch):
    """Six sounds of three nouns, four pictures. Maps turn the sounds' vectors towards their pictures, or not."""
    d = np.eye(4, dtype=np.float32)
    sounds, pictures = d[[0, 0, 1, 1, 2, 2]], d
    nouns = ["dog", "dog", "cat", "cat", "cow", "cow"]
    queries = pd.DataFrame({"modality": "audio", "concept": nouns})
    gallery = pd.DataFrame({"modality": "image", "concept": ["dog", "cat", "cow", ""]})
    positive = queries.concept.to_numpy()[:, None] == gallery.concept.to_numpy()
    task = Task("audio->image", queries, gallery, positive, np.array([True] * 4 + [False] * 2))
    monkeypatch.setattr(looks, "_task", lambda project, name: task)

    def common(rows, maps):
        return maps["audio"].leaf(sounds) if rows.modality.iloc[0] == "audio" else pictures

    heard = pd.DataFrame({"modality": "audio", "split": "train", "concept": ["dog", "dog", "cat"]})
    return SimpleNamespace(embeddings=SimpleNamespace(common=common), items=heard)


RIGHT, WRONG = {"audio": Maps(leaf=lambda v: v)}, {"audio": Maps(leaf=lambda v: np.roll(v, 1, axis=1))}


def test_methods_are_compared_concept_by_concept_over_their_seeds(project):
    found = looks.concepts_by_method(project, "audio->image", {"hop": [RIGHT], "exmcr": [RIGHT, WRONG]}).set_index("concept")
    assert found.n.tolist() == [2, 2, 2] and found.seen.to_dict() == {"dog": True, "cat": True, "cow": False}
    assert (found.hop == 1).all()
    # Turned wrong, everything right ties behind one wrong answer and the ties: the fourth of four.
    assert found.exmcr.tolist() == pytest.approx([(1 + 0.25) / 2] * 3)


def test_geometry_of_methods_is_that_of_their_queries(project):
    found = looks.geometry_by_method(project, "audio->image", {"hop": [RIGHT], "exmcr": [WRONG]})
    assert found.alignment.to_dict() == {"hop": 0.0, "exmcr": 2.0} and found["map"].to_dict() == {"hop": 1.0, "exmcr": 0.25}
    assert found.effective_rank.tolist() == pytest.approx([3, 3]) and set(found.columns) >= {"gap", "hubness", "uniformity"}


def test_best_and_worst_concepts_say_what_was_heard_and_what_they_are_taken_for(project, monkeypatch):
    maps = {"audio": Maps(leaf=lambda v: np.where(np.arange(6)[:, None] < 4, v, np.roll(v, 1, axis=1)))}  # cows are taken for nothing known
    monkeypatch.setattr(looks, "exmcr_maps", lambda project, seed=None: maps)
    found = looks.best_and_worst(project, "audio->image", n=1)
    assert found.index.tolist() == ["cat", "cow"] and found["map"].tolist() == [1.0, 0.25]
    assert found.heard.tolist() == [1, 0] and found.right.tolist() == [1, 1] and found["taken for"].tolist() == ["", "(no noun)"]
    assert len(looks.best_and_worst(project, "audio->image", n=9)) == 3, "no concept twice"


def test_some_items_are_a_line_of_each_modality_that_can_be_shown():
    rows = [(f"{m}/{n}", m) for m, many in (("text", 9), ("image", 7), ("audio", 2)) for n in range(many)]
    items = pd.DataFrame(rows, columns=["id", "modality"])
    first, others, right = looks.some_items(SimpleNamespace(items=items), 4)
    assert right is None and [row.modality for row in first] == ["audio", "image"]
    assert [1 + len(line) for line in others] == [2, 4], "no more than there are"
    for row, line in zip(first, others, strict=True):
        assert len({row.id, *(one.id for one in line)}) == 1 + len(line) and {one.modality for one in line} == {row.modality}


def test_unusable_files_are_those_the_corpus_named(tmp_path):
    project = SimpleNamespace(root=tmp_path)
    assert list(looks.unusable_files(project).columns) == ["id", "reason"] and looks.unusable_files(project).empty
    (tmp_path / "data").mkdir()
    (tmp_path / "data/skipped.json").write_text('[{"id": "a/1", "reason": "silent sound"}]')
    assert looks.unusable_files(project).to_dict("records") == [{"id": "a/1", "reason": "silent sound"}]


def test_an_answer_without_a_noun_is_neither_right_nor_wrong():
    asked = pd.DataFrame({"concept": ["dog", ""]})
    found = [pd.DataFrame({"concept": ["dog", "cat", ""]}), pd.DataFrame({"concept": ["dog", ""]})]
    assert looks._gallery(asked, found)[2] == [[True, False, None], [None, None]]
