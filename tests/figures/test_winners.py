"""Two methods task by task, on tasks whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.evaluation.tasks import Task
from exmcr.figures import concepts, winners
from exmcr.methods.maps import Maps

GOOD, BAD = (
    {"audio": Maps(leaf=lambda v: v)},
    {"audio": Maps(leaf=lambda v: np.roll(v, 1, axis=1))},
)
TOO_LARGE = object()  # a post-processor that cannot hold the similarities of a task


class Bench:
    """Eight queries of four directions, and a gallery of the same directions."""

    def __init__(self, names=("a->b",)):
        d = np.eye(4, dtype=np.float32)
        queries = pd.DataFrame({"id": [f"q{n}" for n in range(8)], "modality": "audio"})
        gallery = pd.DataFrame({"id": list("wxyz"), "modality": "image"})
        positive = np.tile(np.eye(4, dtype=bool), (2, 1))
        self.queries, self.gallery = np.tile(d, (2, 1)), d
        seen = np.ones(8, bool)
        self.tasks = [Task(name, queries, gallery, positive, seen) for name in names]

    params = None

    def serves(self, task, maps, after=None):
        return "audio" in maps and after is not TOO_LARGE

    def common(self, task, maps):
        return maps["audio"].leaf(self.queries), self.gallery

    def ranks(self, task, maps, after=None):
        assert after is not TOO_LARGE
        queries, gallery = self.common(task, maps)
        similarity = queries @ gallery.T
        return ranks_of_positives(after(similarity) if after else similarity, task.positive)


def test_the_difference_is_paired_and_has_an_interval():
    found = winners.differences(Bench(), "exmcr", "hop", {"exmcr": [GOOD], "hop": [GOOD, BAD]})
    (row,) = found.to_dict("records")
    assert (row["task"], row["n"], row["exmcr"]) == ("a->b", 8, 1.0)
    assert row["hop"] == pytest.approx((1 + 0.25) / 2) and row["difference"] == pytest.approx(0.375)
    assert row["low"] == row["high"] == pytest.approx(0.375), "every query has the same difference"
    assert row["alignment"] == 0, "geometry is that of the first seeds"
    assert winners.decided(found).tolist() == [1]


def test_a_task_that_a_method_cannot_serve_is_left_out():
    found = winners.differences(Bench(), "exmcr", "hop", {"exmcr": [GOOD], "hop": [{}]})
    assert found.empty and list(found.columns[:4]) == ["task", "n", "exmcr", "hop"]


def test_post_processors_count_for_what_a_method_serves_and_for_its_scores(monkeypatch):
    after = {"hop": None, "hop+reversed": lambda similarity: similarity[:, ::-1]}
    for module in (winners, concepts):
        monkeypatch.setattr(module, "after_of", lambda params, name: after[name])
    methods = dict.fromkeys(after, [GOOD])
    found = winners.differences(Bench(), "hop", "hop+reversed", methods)
    assert found.hop.tolist() == [1.0] and found["hop+reversed"].item() == 0.25
    after["hop+reversed"] = TOO_LARGE
    assert winners.differences(Bench(), "hop", "hop+reversed", methods).empty


def table(*rows):
    columns = ["task", "n", "exmcr", "hop", "difference", "low", "high", *winners.MEASURES]
    return pd.DataFrame([(*row, *[0.0] * (10 - len(row))) for row in rows], columns=columns)


ROWS = {
    "won": ("t1", 9, 0.9, 0.5, 0.4, 0.3, 0.5),
    "lost": ("t2", 9, 0.5, 0.9, -0.4, -0.5, -0.3),
    "open": ("t3", 9, 0.5, 0.5, 0.01, -0.1, 0.1),
}


@pytest.mark.parametrize(
    "names, said",
    [
        (["won"], "exmcr is better on t1."),
        (["lost"], "hop is better on t2."),
        (["open"], "on 1 of 1 tasks the queries do not decide."),
        (
            ["won", "lost", "open"],
            "exmcr is better on t1; hop is better on t2; on 1 of 3 tasks the queries do not decide.",
        ),
        (["won"] * 5, "exmcr is better on 5 tasks."),
    ],
)
def test_the_sentence_says_who_wins_where(names, said, tmp_path):
    given = table(*(ROWS[name] for name in names))
    assert winners.sentence(given) == said
    figure = winners.forest(given, tmp_path / "forest.png")
    assert figure.axes[0].get_title().replace("\n", " ") == said
    assert (tmp_path / "forest.png").is_file()


def test_a_winner_has_a_marker_that_points_to_it():
    axis = winners.forest(table(*ROWS.values())).axes[0]
    points = [line for line in axis.lines if line.get_marker() in ("<", ">", "o")]
    assert {line.get_marker(): round(line.get_xdata()[0]) for line in points} == {
        "<": -40,
        "o": 1,
        ">": 40,
    }


@pytest.mark.parametrize(
    "measure, correlation, verdict",
    [
        ([1, 2, 3, 4], 1, "the better method has more directions in use"),
        ([4, 3, 2, 1], -1, "the worse method has more directions in use"),
        ([1, 4, 3, 2], 0.2, "does not explain the differences"),
        ([1, 1, 1, 1], np.nan, "too few tasks to say"),
    ],
)
def test_a_measure_explains_differences_only_if_it_goes_with_them(measure, correlation, verdict):
    given = table(*([f"t{n}", 9, 0.5, 0.5, n / 10, 0, 0] for n in range(4)))
    found = winners.reasons(given.assign(effective_rank=measure)).loc["effective_rank"]
    assert found.verdict == verdict
    np.testing.assert_allclose(found.correlation, correlation, atol=1e-12)


def test_two_tasks_explain_nothing():
    given = table(ROWS["won"], ROWS["lost"]).assign(hubness=[1.0, 2.0])
    assert set(winners.reasons(given).verdict) == {"too few tasks to say"}
