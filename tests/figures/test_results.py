"""Tables and bars of the results, on numbers whose answer is known."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from exmcr.common.errors import ConfigError
from exmcr.evaluation import tables
from exmcr.evaluation.metrics import METRICS, Metric
from exmcr.figures import results
from exmcr.figures.style import METHOD_COLOR


def row(task, method, value, seed=0, subset="all"):
    names = {"task": task, "concept_subset": subset, "method": method, "seed": seed}
    return dict.fromkeys(tables.COLUMNS, 0.5) | names | {"map": value}


RESULTS = pd.DataFrame([
    row("image->text", "base", 0.8), row("image->text", "exmcr", 0.8, 0), row("image->text", "exmcr", 0.8, 1),
    row("audio->text", "leaf", 0.4), row("audio->text", "exmcr", 0.1, 0), row("audio->text", "exmcr", 0.3, 1), row("audio->text", "hop", 0.1),
    row("audio->image", "exmcr", 0.2), row("audio->text", "exmcr", 0.9, subset="seen"),
])  # fmt: skip


def test_what_is_kept_is_the_share_of_the_frozen_space():
    found = results.share_kept(RESULTS).set_index(["task", "method"])
    assert set(found.index) == {
        ("image->text", "exmcr"),
        ("audio->text", "exmcr"),
        ("audio->text", "hop"),
    }, "no space has sounds and images"
    assert found.share.round(6).to_dict() == {
        ("image->text", "exmcr"): 1.0,
        ("audio->text", "exmcr"): 0.5,
        ("audio->text", "hop"): 0.25,
    }


def test_the_base_is_compared_seed_by_seed():
    found = results.base_before_and_after(RESULTS)
    assert found.task.tolist() == ["image->text"] and found["largest difference"].tolist() == [0.0]
    assert found.concept_subset.tolist() == ["all"]
    # Two seeds that err in opposite ways have the base's mean; the difference tells.
    worse = RESULTS.copy()
    worse.loc[1, "map"], worse.loc[2, "map"] = 0.7, 0.9
    found = results.base_before_and_after(worse)
    assert found["map after"][0] == pytest.approx(0.8) and found["largest difference"][
        0
    ] == pytest.approx(0.1)


def test_compared_methods_are_added_once(tmp_path):
    project = SimpleNamespace(reports=tmp_path / "reports")
    assert results.with_compared(project, RESULTS) is RESULTS
    (tmp_path / "reports").mkdir()
    compared = pd.DataFrame([row("audio->text", "cmcr", 0.2), row("audio->text", "hop", 0.1)])
    compared.to_csv(tmp_path / "reports/compare.csv", index=False)
    found = results.with_compared(project, RESULTS)
    assert len(found) == len(RESULTS) + 1 and (found.method == "cmcr").sum() == 1
    assert results.share_kept(found).set_index(["task", "method"]).share[
        "audio->text", "cmcr"
    ] == pytest.approx(0.5)


@pytest.mark.parametrize("shared", [[row("audio->text", "hop", 0.11)], []])
def test_a_comparison_of_an_earlier_run_is_left_out(shared, tmp_path, capsys):
    """Another score of a method that is in both tables; no such method."""
    compared = pd.DataFrame([row("audio->text", "cmcr", 0.2), *shared])
    compared.to_csv(tmp_path / "compare.csv", index=False)
    assert results.with_compared(SimpleNamespace(reports=tmp_path), RESULTS) is RESULTS
    assert "run `exmcr compare` again" in capsys.readouterr().out


def test_a_comparison_of_another_version_is_an_error(tmp_path):
    compared = pd.DataFrame([row("audio->text", "cmcr", 0.2)]).rename(
        columns={"concept_subset": "split"}
    )
    compared.to_csv(tmp_path / "compare.csv", index=False)
    with pytest.raises(
        ConfigError, match="has no column concept_subset; run `exmcr compare` again"
    ):
        results.with_compared(SimpleNamespace(reports=tmp_path), RESULTS)


def heights(axis):
    return {
        label.get_text(): bar.get_height()
        for label, bar in zip(axis.get_xticklabels(), axis.patches, strict=True)
    }


def test_every_method_has_a_bar_on_every_task():
    table = pd.concat([RESULTS, pd.DataFrame([row("audio->text", "new method", 0.6)])])
    figure = results.bars(table)
    axis = figure.axes[1]
    assert axis.get_title().startswith("audio->text") and "chance 50.0" in axis.get_title()
    assert list(heights(axis)) == ["exmcr", "hop", "leaf", "new method"], (
        "methods without a color of their own come last"
    )
    assert list(heights(axis).values()) == pytest.approx([20, 10, 40, 60])
    whiskers = axis.containers[0].lines[2][0].get_segments()
    assert [whisker[1][1] for whisker in whiskers] == pytest.approx([50, 50, 50, 60])
    colors = [bar.get_facecolor() for bar in axis.patches]
    assert len(set(colors)) == 4 and colors[0] == plt.matplotlib.colors.to_rgba(
        METHOD_COLOR["exmcr"]
    )
    assert "mAP" in figure.get_suptitle() and figure.axes[0].get_ylabel() == "mAP (%)"


@pytest.fixture
def first_hit(monkeypatch):
    """A metric that exists in a test only, and a results table that has it."""
    metric = Metric(
        "hit",
        "first hit",
        lambda ranks, n: np.ones(len(ranks)),
        lambda right, n: np.full(len(right), 0.25),
    )
    monkeypatch.setitem(METRICS, "hit", metric)
    return RESULTS.assign(hit=0.75, chance_hit=0.25, hit_low=0.7, hit_high=0.8)


def test_a_registered_metric_is_drawn(first_hit):
    figure = results.bars(first_hit, "hit")
    assert "first hit" in figure.get_suptitle() and {
        axis.get_ylabel() for axis in figure.axes if axis.get_visible()
    } - {""} == {"first hit (%)"}
    assert {
        height for axis in figure.axes for height in (bar.get_height() for bar in axis.patches)
    } == {75.0}
    assert "chance 25.0" in figure.axes[0].get_title()
    both = pd.concat(
        [first_hit, first_hit[first_hit.concept_subset == "seen"].assign(concept_subset="unseen")]
    )
    assert {axis.get_ylabel() for axis in results.seen_unseen(both, "hit").axes} == {
        "first hit (%)"
    }


def test_a_registered_metric_counts_in_what_the_base_loses(first_hit):
    changed = first_hit.copy()
    changed.loc[1, "hit"] = 0.5
    assert results.base_before_and_after(changed)["largest difference"].tolist() == [0.25]


def test_an_unknown_metric_is_an_error(monkeypatch):
    for draw in (results.bars, results.seen_unseen):
        with pytest.raises(ConfigError, match="unknown metric 'hit'; known: r1, r5, r10, map"):
            draw(RESULTS, "hit")
    monkeypatch.setitem(METRICS, "hit", METRICS["map"])
    with pytest.raises(
        ConfigError, match="the results have no metric 'hit'; run `exmcr evaluate` again"
    ):
        results.bars(RESULTS, "hit")


def test_seen_and_unseen_are_drawn_side_by_side():
    table = pd.DataFrame(
        [
            row("audio->text", m, v, subset=s)
            for s, v in (("seen", 0.5), ("unseen", 0.25))
            for m in ("exmcr", "hop", "procrustes")
        ]
    )
    figure = results.seen_unseen(table)
    assert "better on seen than on unseen concepts in 1 of 1 tasks" in figure.get_suptitle()
    seen, unseen = figure.axes[:2]
    assert (seen.get_title(), unseen.get_title()) == ("seen concepts", "unseen concepts")
    assert {bar.get_height() for bar in seen.patches} == {50} and {
        bar.get_height() for bar in unseen.patches
    } == {25}


def test_kept_draws_the_methods_that_the_table_has(tmp_path):
    figure = results.kept(
        results.share_kept(RESULTS), ["exmcr", "cmcr", "hop"], tmp_path / "new/kept.png"
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["exmcr", "hop"]
    assert "exmcr keeps 50% or more" in figure.axes[0].get_title()
    assert (tmp_path / "new/kept.png").stat().st_size > 1000


def test_panels_of_a_row_share_an_axis_and_the_easiest_tasks_come_first():
    tasks = [row(f"t{n}", "exmcr", value) for n, value in enumerate((0.1, 0.9, 0.5, 0.3))]
    axes = results.bars(pd.DataFrame(tasks)).axes[:4]
    assert [axis.get_title()[:2] for axis in axes] == ["t1", "t2", "t3", "t0"]
    assert axes[0].get_ylim() == axes[1].get_ylim() == axes[2].get_ylim() != axes[3].get_ylim()


@pytest.mark.parametrize(
    "own, others, said",
    [
        ([0.9, 0.9], [0.1, 0.2], "the best of 2 methods on 2 of 2 tasks; on 0 others"),
        ([0.9, 0.45], [0.1, 0.5], "on 1 of 2 tasks; on 1 others its interval contains"),
        ([0.1, 0.1], [0.9, 0.8], "on 0 of 2 tasks; on 0 others"),
    ],
)
def test_the_title_says_how_often_the_method_is_best(own, others, said):
    rows = [row(f"t{n}", "exmcr", value) for n, value in enumerate(own)]
    rows += [row(f"t{n}", "hop", value) for n, value in enumerate(others)]
    rows += [row("t0", "leaf", 1.0), row("base only", "exmcr", 1.0)]
    mean = tables.over_seeds(pd.DataFrame(rows))
    assert said in results.finding(mean), results.finding(mean)
    assert said in results.bars(pd.DataFrame(rows)).get_suptitle()


def test_without_the_method_the_title_claims_nothing():
    rows = [row("t", "hop", 0.5), row("t", "lstsq", 0.4)]
    assert results.finding(tables.over_seeds(pd.DataFrame(rows))) == "Every method on every task"
