"""The comparison end to end, on a project of random items whose truth is known."""

import json
import shutil
from functools import partial

import imports
import numpy as np
import pandas as pd
import pytest
from synthetic import project, r1, world

from exmcr.commands.main import main
from exmcr.common.errors import ConfigError
from exmcr.evaluation import meeting, tables
from exmcr.evaluation.bench import Bench, into_base
from exmcr.evaluation.tasks import EMERGENT
from exmcr.experiments import compare
from exmcr.figures import comparison
from exmcr.methods.baselines import hop, procrustes
from exmcr.methods.maps import Maps, Method
from exmcr.methods.registry import METHODS, after_of, check_settings, settings_of
from exmcr.methods.relative import asif
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
    results, ranking, failures = compare.compare(made, QUICK)
    assert failures == []
    return results, ranking


@pytest.fixture
def finished(made, outcome, tmp_path):
    """A copy of the project whose comparison is finished."""
    shutil.copytree(made.root, tmp_path / "copy")
    return Project(tmp_path / "copy")


@pytest.fixture
def measured(monkeypatch):
    """A list that gets (method, seed) of every fit that runs."""
    calls, measure = [], compare.measure

    def watched(bench, name, seed):
        calls.append((name, seed))
        return measure(bench, name, seed)

    monkeypatch.setattr(compare, "measure", watched)
    return calls


def with_compare(params, block):
    return params.model_copy(update={"compare": block})


def test_the_table_has_the_columns_of_the_results_and_every_method_seed_and_task(made, outcome):
    results, _ = outcome
    assert list(results.columns) == tables.columns()
    assert list(pd.read_csv(made.reports / "compare.csv").columns) == tables.columns()
    own = results[(results.concept_subset == "all") & (results.task == "audio->points")]
    runs = own.groupby("method").seed.apply(list).to_dict()
    assert runs == {"direct": [0], "procrustes": [0], "hop": [0], "relative": [0, 1]}, (
        "a method that does not depend on a seed runs once"
    )
    assert set(EMERGENT) <= set(results.task)
    assert "leaf" in set(results.method), "the frozen leaf, for reference"
    assert not {"image->text", "text->image"} & set(results.task), (
        "tasks of the base alone need no leaf"
    )


def test_the_ranking_is_the_mean_over_the_emergent_tasks(outcome):
    results, ranking = outcome
    emergent = results[(results.concept_subset == "all") & results.task.isin(EMERGENT)]
    expected = emergent.groupby("method")["map"].mean()
    for row in ranking.itertuples():
        assert row.map == pytest.approx(expected[row.method], abs=1e-5)
        assert row.map_low <= row.map <= row.map_high
    assert list(ranking["map"]) == sorted(ranking["map"], reverse=True)
    by_name = ranking.set_index("method")["map"]
    assert by_name["procrustes"] > 0.9 > 0.3 > by_name["direct"], (
        "the spaces are rotations of one latent space; without a rotation, scores are at chance"
    )


def test_the_interval_is_a_bootstrap_over_queries_within_each_task(bench):
    """Redrawn here query by query: the same draws, a mean over seeds first, then over tasks."""
    records = {
        ("relative", seed): {
            "ap": {task.name: per_query(task, seed) for task in bench.emergent},
            "mrv": {task.name: None for task in bench.emergent},
            "seconds": 1.0,
        }
        for seed in (0, 1)
    }
    row = compare.emergent(bench, records).iloc[0]
    rng, means = np.random.default_rng(0), np.zeros(1000)
    for task in bench.emergent:
        values = (per_query(task, 0) + per_query(task, 1)) / 2
        for n, draw in enumerate(rng.integers(len(values), size=(1000, len(values)))):
            means[n] += values[draw].mean() / len(bench.emergent)
    assert row[["map_low", "map_high"]].tolist() == pytest.approx(
        np.quantile(means, [0.025, 0.975]).tolist(), abs=1e-12
    )
    assert row.seeds == 2


def per_query(task, seed):
    return np.random.default_rng([seed, *task.name.encode()]).uniform(size=len(task.queries))


def test_differences_are_paired_query_by_query(made, bench, outcome):
    """A method that is better on every query by the same amount has an interval of width 0."""

    def record(shift):
        ap = {t.name: (0.3 + 0.1 * per_query(t, 0) + shift).tolist() for t in bench.emergent}
        return {"ap": ap, "seconds": 1.0}

    records = {("hop", 0): record(0.0), ("lstsq", 0): record(0.05)}
    table = compare.differences(bench, records)
    assert list(table.columns) == compare.DIFFERENCES
    assert [*zip(table.method, table.reference)] == [("lstsq", "hop")], "no asif, not to itself"
    assert table.loc[0, ["difference", "low", "high"]].tolist() == pytest.approx([0.05] * 3)
    written = pd.read_csv(made.reports / "compare_differences.csv")
    assert set(written.reference) == {"hop"} and set(written.method) == set(QUICK) - {"hop"}
    line = compare.compared(
        pd.DataFrame([("exmcr+", "hop", 0.02, 0.01, 0.031)], columns=compare.DIFFERENCES)
    )
    assert line == "exmcr+ - hop: +2.0 (+1.0 to +3.1)"


def test_sparse_maps_score_as_dense_ones_and_the_bridge_is_made_once(bench):
    fits = {leaf: asif(pools, keep=30) for leaf, pools in bench.pools.items()}
    dense = {leaf: Maps(maps.leaf, maps.base) for leaf, maps in fits.items()}
    bridged, calls = Maps(fits["audio"].leaf, fits["audio"].base, fits["audio"].sparse), []

    def counted(vectors):
        calls.append(vectors is bench.pools["audio"].o_base)
        return fits["audio"].sparse[1](vectors)

    bridged.sparse = fits["audio"].sparse[0], counted
    both = fits | {"audio": bridged}
    ours = [bench.similarity(task, both) for task in bench.tasks]
    for task, similarity in zip(bench.tasks, ours):
        assert np.allclose(similarity, bench.similarity(task, dense), atol=1e-5)
    assert sum(calls) == 1


# What is kept


def test_a_finished_method_is_kept_and_a_changed_setting_runs_again(finished, outcome, measured):
    again, _, _ = compare.compare(finished, QUICK)
    assert measured == [] and again.equals(outcome[0])
    one, _, _ = compare.compare(finished, ["hop"])
    assert one.equals(outcome[0]), "the other finished methods stay in the table"
    finished.params = with_compare(finished.params, {"relative": {"anchors": 40}})
    compare.compare(finished, QUICK)
    assert measured == [("relative", 0), ("relative", 1)]
    stored = json.loads((finished.reports / "compare/hop-seed0.json").read_text())
    assert {"key", "rows", "ap", "seconds", "mrv"} == set(stored)


def test_an_edit_of_the_code_runs_everything_again(finished, outcome, measured, monkeypatch):
    seen = []
    monkeypatch.setattr(compare, "code_digest", lambda *folders: seen.append(folders) or "edited")
    again, _, _ = compare.compare(finished, ["hop", "relative"])
    assert measured == [("hop", 0), ("relative", 0), ("relative", 1)]
    assert set(seen) == {compare.CODE}
    methods = set(again.method)
    assert methods == {"hop", "relative", "leaf"}, "what is not up to date is not in the table"
    measured.clear()
    compare.compare(finished, ["hop", "relative"])
    assert measured == []


def test_a_changed_bank_runs_everything_again(finished, measured):
    for path in sorted((finished.banks / "mini-audio-text").glob("*/*/manifest.json")):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "another"}))
    compare.compare(finished, ["hop"])
    assert measured == [("hop", 0)]


@pytest.mark.parametrize(
    "damaged", [b"", b"\xff\xfe", b"[]", b"null", b'{"key": "x"', '{"rows": []}', None]
)
def test_a_damaged_record_is_measured_again(finished, outcome, measured, damaged):
    path = finished.reports / "compare/hop-seed0.json"
    if damaged is None:  # the key is right, the content is not there
        path.write_text(json.dumps({"key": json.loads(path.read_text())["key"]}))
    else:
        path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    again, _, _ = compare.compare(finished, QUICK)
    assert measured == [("hop", 0)] and again.equals(outcome[0])


def test_keys_follow_settings_code_seed_and_inputs(bench, monkeypatch):
    keys = [
        compare.key_of(bench, "hop", 0, "i"),
        compare.key_of(bench, "hop", 1, "i"),
        compare.key_of(bench, "hop", 0, "j"),
        compare.key_of(bench, "lstsq", 0, "i"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(compare, "code_digest", lambda *folders: "edited")
        keys.append(compare.key_of(bench, "hop", 0, "i"))
    with monkeypatch.context() as patch:
        patch.setattr(bench, "params", with_compare(bench.params, {"hop": {"tau": 0.3}}))
        keys.append(compare.key_of(bench, "hop", 0, "i"))
    assert len(set(keys)) == len(keys)
    assert compare.key_of(bench, "hop", 0, "i") == keys[0]


@pytest.mark.parametrize("name", ["exmcr", "exmcr+centering"])
def test_a_stored_projector_is_part_of_the_key(finished, name):
    bench = Bench(finished)
    fitted = compare.key_of(bench, name, 0, "i")
    bench.trained["exmcr", 0] = {}
    keys = [fitted]
    for content in ("one", "two"):
        for leaf in bench.pools:
            path = finished.projector_path(leaf, 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        keys.append(compare.key_of(bench, name, 0, "i"))
    assert len(set(keys)) == 3


# Parts of the key that are no code: banks and tasks are in `inputs`, settings are in the key.
OTHER_FOLDERS = {"banks", "config", "corpora", "media", "spaces"}


def test_the_key_covers_every_folder_whose_code_decides_a_score():
    used = imports.used_by("from exmcr.methods import registry\nfrom exmcr.evaluation import bench")
    folders = {module.split(".")[1] for module in used if "." in module}
    assert folders <= {*compare.CODE, *OTHER_FOLDERS}
    assert set(compare.CODE) <= folders


# Failures


def broken(pools, seed):
    raise np.linalg.LinAlgError("no convergence")


def test_a_method_that_fails_does_not_lose_the_others(
    finished, outcome, measured, monkeypatch, capsys
):
    def only_seed_0(pools, seed):
        return procrustes(pools, seed) if seed == 0 else broken(pools, seed)

    monkeypatch.setitem(METHODS, "procrustes", Method(broken))
    monkeypatch.setitem(METHODS, "relative", Method(only_seed_0, seeded=True))
    (finished.reports / "compare/direct-seed0.json").unlink()
    for name in ("procrustes-seed0", "relative-seed0", "relative-seed1"):
        (finished.reports / f"compare/{name}.json").unlink()
    results, ranking, failures = compare.compare(finished, QUICK)
    assert failures == [
        "procrustes, seed 0: LinAlgError: no convergence",
        "relative, seed 1: LinAlgError: no convergence",
    ]
    assert "in broken" in capsys.readouterr().err, "the traceback says where"
    assert set(ranking.method) == {"direct", "hop"}, "a method counts with all its seeds or not"
    kept = outcome[0][outcome[0].method.isin(["direct", "hop", "leaf"])].reset_index(drop=True)
    assert results.equals(kept)
    measured.clear()
    monkeypatch.setitem(METHODS, "procrustes", Method(procrustes))
    again, _, failures = compare.compare(finished, ["procrustes"])
    assert measured == [("procrustes", 0)] and failures == []
    assert "procrustes" in set(again.method)


def test_the_command_finishes_the_others_and_then_reports_the_failure(
    finished, outcome, monkeypatch, capsys
):
    monkeypatch.setitem(METHODS, "procrustes", Method(broken))
    (finished.reports / "compare/procrustes-seed0.json").unlink()
    assert main(["compare", "procrustes", "hop", "--project", str(finished.root)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("| method | source |") and "| hop |" in said.out
    assert (finished.reports / "compare.md").read_text() == said.out
    assert (finished.figures / "compare.png").is_file()
    assert said.err.splitlines()[-2:] == [
        "exmcr compare: the table is without methods that failed:",
        "  procrustes, seed 0: LinAlgError: no convergence",
    ]


def test_if_nothing_can_be_ranked_the_reasons_are_reported(made, monkeypatch, tmp_path, capsys):
    shutil.copytree(made.root, tmp_path / "copy", ignore=shutil.ignore_patterns("reports"))
    monkeypatch.setitem(METHODS, "hop", Method(broken))
    assert main(["compare", "hop", "--project", str(tmp_path / "copy")]) == 2
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "exmcr compare: none of hop has results on all emergent tasks",
        "  hop, seed 0: LinAlgError: no convergence",
    ]


@pytest.mark.parametrize(
    "block, names, message",
    [
        ({"nonsense": {}}, QUICK, "compare.nonsense: unknown method"),
        ({"hop": {"tou": 1}}, QUICK, "compare.hop.tou: unknown setting"),
        ({}, ["hop", "telepathy"], "unknown method 'telepathy'"),
    ],
)
def test_wrong_names_are_reported_before_any_work(made, monkeypatch, block, names, message):
    monkeypatch.setattr(compare, "Bench", lambda *_, **__: pytest.fail("work was begun"))
    changed = Project(made.root)
    changed.params = with_compare(changed.params, block)
    with pytest.raises(ConfigError, match=message):
        compare.compare(changed, names)


# Methods


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
    monkeypatch.setitem(METHODS, "plain+upside-down", Method(counted, after=upside_down))
    plain, flipped = (compare.measure(bench, name, 0) for name in ("plain", "plain+upside-down"))
    assert len(fits) == 2, "one fit per leaf, for both entries"
    assert all(q[1] == g[1] == qb[1] == gb[1] for q, g, qb, gb in seen)
    task = next(t for t in bench.tasks if t.name == "audio->image")
    shapes = seen[[t.name for t in bench.tasks].index("audio->image")]
    assert shapes[0][0] == len(task.queries) and shapes[1][0] == len(task.gallery)
    assert shapes[2][0] == len(bench.pools["audio"].x_leaf)
    assert shapes[3][0] == len(bench.pools["audio"].y_base)
    better, worse = (
        {r["task"]: r["map"] for r in record["rows"] if r["concept_subset"] == "all"}
        for record in (plain, flipped)
    )
    assert worse["audio->image"] < better["audio->image"] / 2


def test_a_post_processor_has_its_own_settings_and_its_fit_those_of_the_method(bench, monkeypatch):
    monkeypatch.setitem(METHODS, "hop+halved", Method(hop, after=halved))
    params = with_compare(bench.params, {"hop": {"tau": 0.3}, "hop+halved": {"by": 8}})
    check_settings(params)
    assert settings_of(params, "hop+halved", "audio") == {"tau": 0.3}
    one = np.ones((1, 1))
    assert after_of(params, "hop+halved")(one, one, one, one) == 1 / 8
    assert after_of(params, "hop") is None
    before = compare.key_of(bench, "hop+halved", 0, "i")
    monkeypatch.setattr(bench, "params", with_compare(bench.params, {"hop+halved": {"by": 8}}))
    assert compare.key_of(bench, "hop+halved", 0, "i") != before


@pytest.fixture(scope="module")
def every(made):
    """Scores of each method on the synthetic project after a few steps of training: {method:
    {task: row}}."""
    short = {"steps": 20, "batch": 64}
    block = {"cmcr": {"settings": short}, "cca": {"dims": 8}, "relative": {"anchors": 100}}
    trained = ("unimodal", "xbt", "textme", "sotalign", "sotalign-asif", "sotalign-exmcr+", "sue")
    trained += ("fdt", "lexvla")
    block |= {name: short for name in trained}
    block |= {name: short | {"hidden": 64, "steps": 30} for name in ("freebind", "omnibind")}
    block |= {"sail": short | {"steps": 120}, "vec2vec": {"clusters": 10, "runs": 2}}
    block |= {"csa": {"dims": 8}, "rreh": {"bits": 8}}
    block |= {name: short | {"steps": 120} for name in ("oneencoder", "close", "crossflow")}
    changed = Project(made.root)
    quick = changed.params.train.model_copy(update=short)
    changed.params = with_compare(changed.params, block).model_copy(update={"train": quick})
    check_settings(changed.params)
    bench = Bench(changed)
    return {
        name: {
            row["task"]: row
            for row in compare.measure(bench, name, 0)["rows"]
            if row["concept_subset"] == "all"
        }
        for name in METHODS
    }


def every_mean(rows):
    return np.mean([row["map"] / row["chance_map"] for row in rows.values()])


@pytest.mark.parametrize("name", METHODS)
def test_every_method_fits_and_scores_on_every_task(every, bench, name):
    assert set(every[name]) == {t.name for t in bench.tasks}
    assert all(0 <= row["map"] <= 1 for row in every[name].values())
    mean = np.mean([row["map"] / row["chance_map"] for row in every[name].values()])
    if name == "direct":  # needs spaces that agree by accident
        assert mean < 1.6
    elif name == "vec2vec":  # sees no shared item: the control
        assert mean < every_mean(every["procrustes"])
    else:
        assert mean > 2, f"{name} has {mean:.2f} times the score of chance"


def test_a_loss_changes_the_scores_of_ex_mcr(every):
    scores = {
        name: tuple(row["map"] for row in every[name].values())
        for name in METHODS
        if name == "exmcr" or name.startswith("exmcr-")
    }
    assert len(scores) >= 7 and len(set(scores.values())) == len(scores)


def test_two_leaves_meet_in_the_base_even_if_each_has_a_common_space_of_its_own(every):
    assert every["cca"]["audio->points"]["map"] > 0.5


def test_into_base_is_the_map_itself_for_a_method_that_extends():
    w = world(n=100)
    maps = procrustes(w.pools)
    assert np.array_equal(into_base(maps, w.x, w.pools.o_base), maps.leaf(w.x))
    other = Maps(leaf=maps.leaf, base=lambda y: y)  # the same space, but not marked as the base
    bridged = into_base(other, w.x, w.pools.o_base)
    assert bridged.shape == w.x.shape and np.allclose(np.linalg.norm(bridged, axis=1), 1, atol=1e-5)
    assert r1(Maps(leaf=lambda x: into_base(other, x, w.pools.o_base)), w.x, w.y) > 0.3
    assert meeting.BRIDGE == 10


# The table in words and as a picture


def test_the_markdown_has_a_line_per_method_and_two_for_reference(outcome, tmp_path):
    results, ranking = outcome
    lines = compare.markdown(results, ranking).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        *ranking.method,
        "*frozen leaf*",
        "*chance*",
    ]
    assert len({line.count("|") for line in lines}) == 1
    comparison.compare(results, ranking, path=tmp_path / "compare.png")
    assert (tmp_path / "compare.png").stat().st_size > 10_000


def test_the_markdown_shows_the_queries_of_a_subset_and_the_mean_of_all():
    keys = [("hop", "all", 0.5), ("hop", "seen", 0.9), ("leaf", "all", 0.7), ("leaf", "seen", 0.8)]
    filled = dict.fromkeys(tables.columns(), 0.25) | {"task": "audio->image", "seed": 0}
    rows = [filled | {"method": m, "concept_subset": s, "map": value} for m, s, value in keys]
    ranking = pd.DataFrame(
        [("hop", "here", 1, 0.5, 0.4, 0.6, 0.1, 1.0, 0.02)], columns=compare.COLUMNS
    )
    lines = compare.markdown(pd.DataFrame(rows), ranking, "seen").splitlines()
    assert lines == [
        "| method | source | emergent mean, all queries (95 %) | audio->image |",
        "|---|---|---|---|",
        "| hop | here | 50.0 (40.0 to 60.0) | 90.0 |",
        "| *frozen leaf* |  |  | 80.0 |",
        "| *chance* |  | 10.0 | 25.0 |",
    ]


def test_the_command_prints_the_table_and_draws_the_figure(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished.root)
    assert main(["compare", *QUICK]) == 0
    table = capsys.readouterr().out
    assert table.startswith("| method | source |")
    assert (finished.reports / "compare.md").read_text() == table
    assert (finished.figures / "compare.png").is_file()


def test_a_method_that_cannot_serve_a_leaf_is_not_ranked(finished, monkeypatch):
    """Its tasks without that leaf stay in the table."""
    from exmcr.methods.maps import NotApplicable

    def audio_only(pools, seed):
        if pools.names["leaf"] != "audio":
            raise NotApplicable("only for sounds")
        return hop(pools, seed, tau=0.02)

    monkeypatch.setitem(METHODS, "hop+half", Method(partial(audio_only)))
    results, ranking, failures = compare.compare(finished, ["hop+half"])
    assert failures == [] and "hop+half" not in set(ranking.method)
    own = results[results.method == "hop+half"]
    assert "audio->image" in set(own.task) and "points->image" not in set(own.task)
