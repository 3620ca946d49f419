"""The comparison end to end, on a project of random items whose truth is known."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from exmcr.commands.main import main
from synthetic import World, project, r1, world

from exmcr.common.errors import ConfigError
from exmcr.evaluation import tables as table
from exmcr.evaluation.metrics import per_query
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.evaluation.tasks import EMERGENT
from exmcr.experiments import compare
from exmcr.experiments.compare import Bench
from exmcr.figures import scores as plot_scores
from exmcr.methods.baselines import hop, procrustes
from exmcr.methods.cca import cca
from exmcr.methods.maps import Maps
from exmcr.methods.registry import METHODS, Method, after_of, check_settings, settings_of
from exmcr.project import Project

QUICK = ["direct", "procrustes", "hop", "relative"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def bench(made):
    return Bench(made)


@pytest.fixture(scope="module")
def outcome(made):
    return compare.compare(made, QUICK)


def test_the_table_has_the_columns_of_the_results_and_every_method_seed_and_task(made, outcome):
    results, _ = outcome
    assert list(results.columns) == table.COLUMNS
    assert list(pd.read_csv(made.root / "reports/compare.csv").columns) == table.COLUMNS
    runs = (
        results[(results.split == "all") & (results.task == "audio->points")]
        .groupby("method")
        .seed.apply(list)
        .to_dict()
    )
    assert runs == {"direct": [0], "procrustes": [0], "hop": [0], "relative": [0, 1]}, (
        "what does not depend on a seed runs once"
    )
    assert set(EMERGENT) <= set(results.task)
    assert "leaf" in set(results.method), "the frozen leaf, for reference"
    assert not {"image->text", "text->image"} & set(results.task), (
        "tasks of the base alone have no leaf to bring"
    )


def test_the_ranking_is_the_mean_over_the_emergent_tasks(outcome):
    results, ranking = outcome
    wanted = (
        results[(results.split == "all") & results.task.isin(EMERGENT)]
        .groupby("method")["map"]
        .mean()
    )
    for row in ranking.itertuples():
        assert row.map == pytest.approx(wanted[row.method], abs=1e-5)
        assert row.map_low <= row.map <= row.map_high
    assert list(ranking["map"]) == sorted(ranking["map"], reverse=True)
    by_name = ranking.set_index("method")["map"]
    assert by_name["procrustes"] > 0.9 > 0.3 > by_name["direct"], (
        "spaces that are one latent turned; chance without turning back"
    )


def test_a_finished_method_is_kept_and_a_changed_setting_runs_again(made, outcome, monkeypatch):
    calls = []
    real = compare.measure
    monkeypatch.setattr(
        compare,
        "measure",
        lambda bench, name, seed: calls.append((name, seed)) or real(bench, name, seed),
    )
    again, _ = compare.compare(made, QUICK)
    assert calls == [] and again.equals(outcome[0])
    one, _ = compare.compare(made, ["hop"])
    assert one.equals(outcome[0]), "asking for one method leaves the others in the table"
    made.params["compare"] = {"relative": {"anchors": 40}}
    compare.compare(made, QUICK)
    assert calls == [("relative", 0), ("relative", 1)]
    stored = json.loads((made.root / "reports/compare/hop-seed0.json").read_text())
    assert {"key", "rows", "ap", "seconds"} == set(stored)
    del made.params["compare"]


def test_keys_follow_settings_code_seed_and_inputs(bench, monkeypatch):
    keys = [
        compare.key_of(bench, "hop", 0, "i"),
        compare.key_of(bench, "hop", 1, "i"),
        compare.key_of(bench, "hop", 0, "j"),
        compare.key_of(bench, "lstsq", 0, "i"),
    ]
    monkeypatch.setitem(METHODS, "hop", Method(partial(hop, tau=0.3)))
    keys.append(compare.key_of(bench, "hop", 0, "i"))
    monkeypatch.setitem(METHODS, "hop", Method(hop, after=halved))
    keys.append(compare.key_of(bench, "hop", 0, "i"))
    assert len(set(keys)) == len(keys)


def halved(queries, gallery, query_bank, gallery_bank, by=2):
    return queries @ gallery.T / by


def test_a_post_processor_gets_both_sides_and_their_training_banks_and_shares_the_fit(
    bench, monkeypatch
):
    seen = []

    def upside_down(queries, gallery, query_bank, gallery_bank):
        seen.append((queries.shape, gallery.shape, query_bank.shape, gallery_bank.shape))
        return -queries @ gallery.T

    fits = []

    def counted(pools, seed):
        fits.append(seed)
        return procrustes(pools, seed)

    monkeypatch.setitem(METHODS, "plain", Method(counted))
    monkeypatch.setitem(METHODS, "upside-down", replace(METHODS["plain"], after=upside_down))
    plain, flipped = (compare.measure(bench, name, 0) for name in ("plain", "upside-down"))
    assert len(fits) == 2, "one fit a leaf, for both entries"
    assert all(q[1] == g[1] == qb[1] == gb[1] for q, g, qb, gb in seen)
    task = next(t for t in bench.tasks if t.name == "audio->image")
    shapes = seen[[t.name for t in bench.tasks].index("audio->image")]
    assert shapes[0][0] == len(task.queries) and shapes[1][0] == len(task.gallery)
    assert shapes[2][0] == len(bench.pools["audio"].x_leaf) and shapes[3][0] == len(
        bench.pools["audio"].y_base
    )
    value = {r["task"]: r["map"] for r in plain["rows"] if r["split"] == "all"}
    worse = {r["task"]: r["map"] for r in flipped["rows"] if r["split"] == "all"}
    assert worse["audio->image"] < value["audio->image"] / 2


def test_the_settings_of_a_post_processor_are_its_own_and_those_of_its_fit_the_methods(
    bench, monkeypatch
):
    monkeypatch.setitem(METHODS, "hop+halved", Method(hop, after=halved))
    params = bench.project.params | {"compare": {"hop": {"tau": 0.3}, "hop+halved": {"by": 8}}}
    check_settings(params)
    assert settings_of(params, "hop+halved", "audio") == {"tau": 0.3}
    one = np.ones((1, 1))
    assert after_of(params, "hop+halved")(one, one, one, one) == 1 / 8
    assert after_of(params, "hop") is None
    before = compare.key_of(bench, "hop+halved", 0, "i")
    monkeypatch.setitem(bench.project.params, "compare", {"hop+halved": {"by": 8}})
    assert compare.key_of(bench, "hop+halved", 0, "i") != before, (
        "another setting of the post-processor is another run"
    )


@pytest.fixture(scope="module")
def every(bench):
    """What each method scores on the synthetic project after a few steps of training: {method: {task: row}}."""
    params, full = bench.project.params, dict(bench.project.params)
    short = {"steps": 20, "batch": 64}
    params["train"] = params["train"] | short
    params["compare"] = {
        "cmcr": {"settings": short},
        "cca": {"dims": 8},
        "relative": {"anchors": 100},
    }
    params["compare"] |= {name: short for name in ("unimodal", "xbt", "freebind")} | {
        "oneencoder": short | {"steps": 120}
    }
    check_settings(params)
    scores = {
        name: {r["task"]: r for r in compare.measure(bench, name, 0)["rows"] if r["split"] == "all"}
        for name in METHODS
    }
    params.clear()
    params.update(full)
    return scores


@pytest.mark.parametrize("name", METHODS)
def test_every_method_fits_and_scores_on_every_task(every, bench, name):
    assert set(every[name]) == {t.name for t in bench.tasks}
    assert all(0 <= row["map"] <= 1 for row in every[name].values())
    mean = np.mean([row["map"] / row["chance_map"] for row in every[name].values()])
    if name == "direct":  # needs spaces that agree by luck
        assert mean < 1.6
    else:
        assert mean > 2, f"{name} finds {mean:.2f} times what chance does"


def test_a_loss_changes_what_ex_mcr_finds(every):
    found = {
        name: tuple(row["map"] for row in every[name].values())
        for name in METHODS
        if name == "exmcr" or name.startswith("exmcr-")
    }
    assert len(found) == 6 and len(set(found.values())) == 6


def test_two_leaves_meet_in_the_base_even_if_each_has_a_common_space_of_its_own(bench):
    maps = {leaf: cca(pools, dims=8) for leaf, pools in bench.pools.items()}
    task = next(t for t in bench.tasks if t.name == "audio->points")
    found = per_query(ranks_of_positives(bench.similarity(task, maps), task.positive))["map"].mean()
    assert found > 0.5


def test_into_base_is_the_map_itself_for_a_method_that_extends():
    w: World = world(n=100)
    maps = procrustes(w.pools)
    assert np.array_equal(compare.into_base(maps, w.x, w.pools.o_base), maps.leaf(w.x))
    other = Maps(leaf=maps.leaf, base=lambda y: y)  # the same space, but not known to be the base
    bridged = compare.into_base(other, w.x, w.pools.o_base)
    assert bridged.shape == w.x.shape and np.allclose(np.linalg.norm(bridged, axis=1), 1, atol=1e-5)
    assert r1(Maps(leaf=lambda x: compare.into_base(other, x, w.pools.o_base)), w.x, w.y) > 0.3


@pytest.mark.parametrize(
    "block, names, message",
    [
        ({"nonsense": {}}, QUICK, "compare.nonsense is no method"),
        ({}, ["hop", "telepathy"], "unknown method 'telepathy'"),
    ],
)
def test_wrong_names_are_told_before_any_work(made, monkeypatch, block, names, message):
    monkeypatch.setattr(compare, "Bench", lambda project: pytest.fail("work was begun"))
    changed = Project(made.root)
    changed.params["compare"] = block
    with pytest.raises(ConfigError, match=message):
        compare.compare(changed, names)


def test_words_and_picture(made, outcome, tmp_path):
    results, ranking = outcome
    lines = compare.markdown(results, ranking).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        *ranking.method,
        "*frozen leaf*",
        "*chance*",
    ]
    assert len({line.count("|") for line in lines}) == 1
    plot_scores.compare(results, ranking, path=tmp_path / "compare.png")
    assert (tmp_path / "compare.png").stat().st_size > 10_000


def test_the_command_prints_the_table_and_draws_the_figure(made, outcome, monkeypatch, capsys):
    monkeypatch.chdir(made.root)
    assert main(["compare", *QUICK]) == 0
    assert capsys.readouterr().out.startswith("| method | source |")
    assert (made.root / "reports/figures/compare.png").is_file()


def test_what_a_method_takes_from_another_is_part_of_what_its_fits_are_known_by():
    folder = Path(compare.__file__).parent / "methods"
    called = {
        name
        for path in folder.glob("*.py")
        if path.stem not in ("__init__", "registry")
        for found in re.findall(
            r"^from exmcr\.methods(?:\.(\w+))? import (.+)$", path.read_text(), re.MULTILINE
        )
        for name in ([found[0]] if found[0] else found[1].split(", "))
        if (folder / f"{name}.py").is_file()
    }
    assert "relative" in called, "exmcr+ takes the description of ASIF"
    assert {f"methods/{name}" for name in called} <= set(compare.SHARED)


def test_what_training_is_made_of_is_part_of_it_too():
    source = (Path(compare.__file__).parent / "training.py").read_text()
    found = re.findall(r"^from exmcr(?:\.(\w+))? import (.+)$", source, re.MULTILINE)
    used = {name for module, names in found for name in ([module] if module else names.split(", "))}
    assert "noise" in used and used - set(compare.SHARED) == {
        "distributed",
        "gpu",
        "checkpoints",
        "errors",
    }, "these change no number of one process on a CPU"
