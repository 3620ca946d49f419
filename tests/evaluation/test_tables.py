"""The results table: its rows, files, means over seeds and printed form."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from exmcr.common.errors import ConfigError
from exmcr.evaluation import matching, ranking, tables


def coarse(n, d, seed):
    """Vectors of small whole numbers: products are exact in float32 in any order of addition, and ties abound."""
    return np.random.default_rng(seed).integers(-2, 3, size=(n, d)).astype(np.float32)


@pytest.fixture
def task():
    """Twenty queries, of which eight have a seen concept."""
    positive = np.eye(20, 30, dtype=bool)
    return SimpleNamespace(name="t", queries=range(20), positive=positive, seen=np.arange(20) < 8)


def row(method, seed, r1, task="audio->image", subset="all", **more):
    filled = dict.fromkeys(tables.columns(), 0.5) | {"task": task, "concept_subset": subset}
    filled |= {"method": method, "seed": seed, "n_queries": 10, "n_gallery": 20}
    return filled | {"chance_r1": 0.05, "r1": r1, "chance_map": 0.1, "map": 0.3} | more


def test_a_task_has_one_row_for_all_one_for_seen_and_one_for_unseen_concepts(task):
    rows = tables.rows_of_vectors(task, "m", 3, coarse(20, 5, 1), coarse(30, 5, 2))
    assert [r["concept_subset"] for r in rows] == ["all", "seen", "unseen"]
    assert [r["n_queries"] for r in rows] == [20, 8, 12] and {r["n_gallery"] for r in rows} == {30}
    assert {(r["task"], r["method"], r["seed"]) for r in rows} == {("t", "m", 3)}
    every, seen, unseen = (r["map"] for r in rows)
    assert every == pytest.approx((8 * seen + 12 * unseen) / 20)


def test_vectors_similarities_and_ranks_give_the_same_rows(task):
    queries, gallery = coarse(20, 5, 1), coarse(30, 5, 2)
    similarity = queries @ gallery.T
    rows = tables.rows_of_vectors(task, "m", 0, queries, gallery)
    assert rows == tables.rows_of_similarity(task, "m", 0, similarity)
    ranks = ranking.ranks_of_positives(similarity, task.positive)
    assert rows == tables.rows_of_ranks(task, "m", 0, ranks)


def test_a_large_task_is_scored_by_tiles_to_the_same_rows(task, monkeypatch):
    queries, gallery = coarse(20, 5, 1), coarse(30, 5, 2)
    rows = tables.rows_of_vectors(task, "m", 0, queries, gallery)
    monkeypatch.setattr(matching, "DENSE", 10)
    monkeypatch.setattr(ranking, "ranks_of_positives", None)
    assert tables.rows_of_vectors(task, "m", 0, queries, gallery) == rows and len(rows) == 3


@pytest.mark.parametrize("whole", [10, matching.DENSE])
def test_right_answers_may_be_sparse(task, monkeypatch, whole):
    queries, gallery = coarse(20, 5, 1), coarse(30, 5, 2)
    rows = tables.rows_of_vectors(task, "m", 0, queries, gallery)
    monkeypatch.setattr(matching, "DENSE", whole)
    task.positive = csr_array(task.positive)
    assert tables.rows_of_vectors(task, "m", 0, queries, gallery) == rows


def test_a_stored_table_has_the_columns_in_order_and_six_digits(tmp_path):
    path = tmp_path / "reports/results.csv"
    table = tables.write([row("hop", 0, 1 / 3)], path)
    assert list(table.columns) == tables.columns() == tables.COLUMNS
    assert tables.columns()[:6] == [
        "task",
        "concept_subset",
        "method",
        "seed",
        "n_queries",
        "n_gallery",
    ]
    assert tables.columns()[6:10] == ["chance_r1", "r1", "r1_low", "r1_high"]
    assert "0.333333," in path.read_text() and pd.read_csv(path).r1[0] == 0.333333
    assert list(tables.write([], path).columns) == tables.columns(), "an empty table has columns"


def test_means_over_seeds_have_standard_deviations():
    rows = [row("hop", 0, 0.2), row("exmcr", 0, 0.3), row("exmcr", 1, 0.5)]
    mean = tables.over_seeds(pd.DataFrame(rows)).set_index("method")
    assert mean.r1.to_dict() == pytest.approx({"hop": 0.2, "exmcr": 0.4})
    assert mean.r1_sd.to_dict() == pytest.approx({"hop": 0, "exmcr": np.std([0.3, 0.5], ddof=1)})
    assert mean.seeds.to_dict() == {"hop": 1, "exmcr": 2} and "seed" not in mean


def test_a_printed_table_has_one_line_per_task_with_mean_and_spread_over_seeds():
    rows = [row("exmcr", 0, 0.3), row("exmcr", 1, 0.5), row("hop", 0, 0.2)]
    rows += [row("leaf", 0, 0.9, task="audio->text"), row("hop", 0, 0.1, subset="seen")]
    lines = tables.markdown(pd.DataFrame(rows)).splitlines()
    assert lines == [
        "| task | queries x gallery | chance | hop | exmcr | leaf |",
        "|---|---|---|---|---|---|",
        "| audio->image | 10 x 20 | 5.0 / 10.0 | 20.0 / 30.0 | 40.0±14.1 / 30.0±0.0 |  |",
        "| audio->text | 10 x 20 | 5.0 / 10.0 |  |  | 90.0 / 30.0 |",
    ]
    seen = tables.markdown(pd.DataFrame(rows), "seen", ["r1"]).splitlines()
    assert seen[2] == "| audio->image | 10 x 20 | 5.0 | 10.0 |"


def test_a_printed_table_omits_no_method():
    rows = [row("base", 0, 0.1), row("mine", 0, 0.1), row("direct", 0, 0.1)]
    head = tables.markdown(pd.DataFrame(rows)).splitlines()[0]
    assert head == "| task | queries x gallery | chance | direct | mine | base |"


def test_a_metric_that_is_unknown_or_not_in_the_table_is_an_error():
    table = pd.DataFrame([row("hop", 0, 0.2)])
    with pytest.raises(ConfigError, match="unknown metric 'accuracy'; known: r1, r5, r10, map"):
        tables.markdown(table, metrics=["accuracy"])
    with pytest.raises(ConfigError, match="the table has no metric 'r5'; run `exmcr evaluate`"):
        tables.markdown(table.drop(columns="r5"), metrics=["r5"])
