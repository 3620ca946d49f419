"""Results of a project beside those of papers: each published number, what counts as run as published, and why not."""

import numpy as np
import pandas as pd
import pytest
import yaml
from paper_trees import BENCHMARKS as BENCHMARK_LINES
from paper_trees import PAPER, make_benchmark_trees, make_trees, text

from exmcr import config, corpora
from exmcr.commands.main import main
from exmcr.common.paths import project_root
from exmcr.common.vectors import unit
from exmcr.corpora.paper import PAPER_CORPORA
from exmcr.evaluation import tables
from exmcr.evaluation.metrics import METRICS
from exmcr.evaluation.tasks import tasks
from exmcr.methods.registry import METHODS
from exmcr.model.published_results import BENCHMARKS, MODELS, NOT_RELEASED, SOURCES, published
from exmcr.model.verify_results import against

LINES = [{"corpus": b.corpus, "split": b.split, "as": "test"} for b in BENCHMARKS.values()]


def content(**changes):
    here = config.read(project_root() / "params.yaml")
    return here | {"corpora": "paper", "spaces": "paper", "paper": LINES} | changes


def params(**changes):
    return config.check(content(**changes))


def row(task, n, m, method="exmcr", seed=0, **scores):
    filled = dict.fromkeys(tables.columns(), 0.5) | {"task": task, "concept_subset": "all"}
    return filled | {"method": method, "seed": seed, "n_queries": n, "n_gallery": m} | scores


def as_published(name, **more):
    """Result rows with the sizes of a benchmark."""
    return [row(task, n, m, **more) for task, (n, m) in BENCHMARKS[name].sizes.items()]


def verdict(rows, name, model="Ex-MCR", **changes):
    table = against(params(**changes), pd.DataFrame(rows, columns=tables.columns()))
    of = table[(table.benchmark == name) & (table.model == model)]
    assert of.as_published.nunique() == 1
    return of.as_published.iloc[0]


def literal(model, metric):
    """{benchmark: published values}"""
    return {
        name: [r.value for r in published() if r[:3] == (name, model, metric)]
        for name in BENCHMARKS
        if any(r[:3] == (name, model, metric) for r in published())
    }


def test_the_published_numbers_of_ex_mcr():
    assert literal("Ex-MCR", "r1") == {
        "AudioCaps": [19.07],
        "Clotho": [7.01],
        "VGG-SS": [2.13],
        "FlickrNet": [1.57],
        "COCO": [40.24],
        "Flickr30K": [71.89],
        "Objaverse": [2.54],
        "ESC-50": [71.20, 68.35],
        "ImageNet": [60.79],
        "Objaverse-LVIS": [17.94],
        "ScanObjectNN": [40.31],
        "ModelNet40": [66.53],
    }
    assert literal("Ex-MCR", "map") == {"Objaverse": [6.23], "AudioSet": [6.67]}


@pytest.mark.parametrize(
    "model, metric, benchmark, value",
    [
        ("C-MCR", "r5", "Flickr30K", 63.64),
        ("C-MCR", "map", "AudioSet", 11.15),
        ("ULIP v2", "r5", "Objaverse", 15.63),
        ("ULIP v2", "map", "Objaverse", 11.41),
        ("CLAP", "r1", "Clotho", 18.46),
        ("CLAP", "r1", "ESC-50", 90.95),
        ("ImageBind", "r5", "ImageNet", 94.23),
        ("LanguageBind", "r1", "FlickrNet", 1.52),
        ("ImageBind++ (FreeBind)", "r5", "VGG-SS", 39.26),
        ("OmniBind-Full", "r5", "ModelNet40", 99.03),
        ("OmniBind-Full", "r1", "Objaverse", 46.55),
        ("TextME", "r1", "COCO, text to image", 28.63),
        ("TextME", "r1", "Clotho, text to audio", 7.81),
        ("TextME", "r1", "FlickrNet", 1.06),
    ],
)
def test_numbers_of_other_models(model, metric, benchmark, value):
    assert literal(model, metric)[benchmark] == [value]


def test_every_number_has_a_protocol_a_model_a_metric_and_a_source():
    results = published()
    assert len(results) == len(set(results)) == 132
    for result in results:
        assert result.benchmark in BENCHMARKS and result.model in MODELS
        assert result.metric in BENCHMARKS[result.benchmark].metrics
        assert result.metric in METRICS and result.source in SOURCES and 0 < result.value < 100
    assert {b.corpus for b in BENCHMARKS.values()} <= PAPER_CORPORA.keys()
    assert {m.ours for m in MODELS.values()} <= METHODS.keys() | {"leaf", ""}
    five = {r[:2] + r[4:]: r.value for r in results if r.metric == "r5"}
    for r in results:
        if r.metric == "r1":
            assert r.value < five.get(r[:2] + r[4:], 100)


@pytest.mark.parametrize("name", ["ESC-50", "ScanObjectNN"])
def test_published_accuracies_are_shares_of_the_number_of_items(name):
    """What says that ScanObjectNN was classified on 2,890 objects."""
    ((n, _),) = BENCHMARKS[name].sizes.values()
    for r in published():
        if r.benchmark == name:
            assert abs(100 * round(r.value * n / 100) / n - r.value) < 0.00501, r


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_run_of_the_published_sizes_split_and_spaces_is_as_published(name):
    table = against(params(), pd.DataFrame(as_published(name)))
    own = table[table.model == "Ex-MCR"]
    for ran in own[own.benchmark == name].itertuples():
        assert ran.as_published == (
            "yes, with prompts of our wording" if BENCHMARKS[name].prompts else "yes"
        )
        assert ran.ours == 50
    others = table[(table.benchmark != name) & (table.as_published != "not run")]
    shared = {
        other for other, b in BENCHMARKS.items() if set(b.sizes) & set(BENCHMARKS[name].sizes)
    }
    assert set(others[others.as_published.str.startswith("yes")].benchmark) <= shared


def test_ours_is_the_mean_of_both_directions_and_of_the_seeds():
    rows = [
        row(task, n, m, seed=seed, r1=value + seed / 10)
        for (task, (n, m)), value in zip(BENCHMARKS["Clotho"].sizes.items(), (0.2, 0.4))
        for seed in (0, 1)
    ]
    rows += [row(**r) for r in [dict(task=rows[0]["task"], n=9, m=9, method="hop", r1=0.9)]]
    table = against(params(), pd.DataFrame(rows))
    own = table[(table.benchmark == "Clotho") & (table.metric == "r1")].set_index("model")
    assert own.ours["Ex-MCR"] == pytest.approx(35)
    assert own.ours.drop("Ex-MCR").isna().all()
    assert own.as_published["ImageBind"] == "not run (a model that this library does not have)"
    assert own.as_published["CLAP"] == own.as_published["C-MCR"] == "not run"


LVIS = "points->image (objaverse)"
OTHER_CLIP = {"clip": {"model": "ViT-L-14-quickgelu", "tag": "openai"}}


@pytest.mark.parametrize(
    "name, change, rows, reason",
    [
        ("Objaverse", {}, [row(LVIS, 10000, 10000)], "10000 x 10000, published 46205 x 46205"),
        ("Objaverse", {}, [row(LVIS, 46205, 46205)], "image->points (objaverse) was not run"),
        ("ScanObjectNN", {}, [row("points->text (scanobjectnn)", 581, 15)], "581 x 15, published 2890 x 15"),
        ("ESC-50", {}, [row("audio->text (esc50)", 2000, 49)], "2000 x 49, published 2000 x 50"),
        (
            "Clotho",
            {"paper": [{"corpus": "clotho", "split": "validation", "as": "test"}]},
            as_published("Clotho"),
            "split validation, published evaluation",
        ),
        ("Clotho", {"paper": []}, as_published("Clotho"), "split unknown, published evaluation"),
        (
            "COCO",
            {"paper": [*LINES, {"corpus": "coco", "split": "val", "as": "test"}]},
            as_published("COCO"),
            "split test and val, published test",
        ),
        ("COCO", {"encoders": OTHER_CLIP}, as_published("COCO"), "model of clip: ViT-L-14-quickgelu, published ViT-B-32-quickgelu"),
        (
            "ESC-50",
            {"encoders": {"clap": {"checkpoint": "630k-audioset-fusion-best"}}},
            as_published("ESC-50"),
            "checkpoint of clap: 630k-audioset-fusion-best, published 630k-fusion-best",
        ),
        ("ESC-50", {"spaces": "mini"}, as_published("ESC-50"), "space of audio: mini-audio-text, published clap; space of base: mini-image-text, published clip"),
        ("COCO", {"spaces": "mini"}, as_published("COCO"), "space of base: mini-image-text, published clip"),
        (
            "COCO",
            {"encoders": {"clip": {"checkpoint": "other.pt", "precision": "bfloat16"}}},
            as_published("COCO"),
            "checkpoint of clip: other.pt, default none; precision of clip: bfloat16, default float32",
        ),
        ("ESC-50", {"encoders": {"clap": {"shrink": "antialiased"}}}, as_published("ESC-50"), "no: shrink of clap: antialiased, default plain"),
        (
            "Objaverse",
            {"encoders": {"ulip2": {"normalization": "unit_sphere"}}},
            as_published("Objaverse"),
            "no: normalization of ulip2: unit_sphere, default as_stored",
        ),
    ],
)  # fmt: skip
def test_what_differs_from_the_published_protocol_is_named(name, change, rows, reason):
    found = verdict(rows, name, **change)
    assert found.startswith("no: ") and reason in found


def test_options_that_are_defaults_or_without_influence_are_as_published():
    encoders = {
        "clip": {"device": "cpu", "batch_size": 7, "checkpoint": None, "precision": "float32"},
        "clap": {"device": "cpu", "batch_size": 7, "shrink": "plain"},
        "ulip2": {"device": "cpu", "batch_size": 7, "normalization": "as_stored"},
    }
    for name in ("COCO", "Clotho", "Objaverse"):
        assert verdict(as_published(name), name, encoders=encoders) == "yes"


def test_differences_of_sizes_and_spaces_are_all_named():
    found = verdict([row(LVIS, 9, 9)], "Objaverse", spaces="mini")
    assert found == (
        "no: 9 x 9, published 46205 x 46205; image->points (objaverse) was not run; "
        "space of points: mini-points, published ulip2; space of base: mini-image-text, published clip"
    )


@pytest.mark.parametrize("model, name", [("CLAP", "AudioCaps"), ("ULIP v2", "Objaverse")])
def test_a_frozen_leaf_is_compared_with_the_published_leaf(model, name):
    rows = as_published(name, method="leaf")
    assert verdict(rows, name, model) == "yes"
    assert verdict(rows, name, "Ex-MCR") == "not run"
    elsewhere = {"clip": {"model": "ViT-L-14-quickgelu"}}  # the base does not matter
    assert verdict(rows, name, model, encoders=elsewhere) == "yes"
    assert verdict(rows, name, model, spaces="mini").startswith("no: space of ")


def test_a_gallery_of_thousands_of_classes_of_another_method_says_nothing():
    assert verdict(as_published("AudioSet", method="hop"), "AudioSet") == "not run"


# the command


def write(root, rows, **changes):
    text(root / "params.yaml", yaml.safe_dump(content(**changes)))
    tables.write(rows, root / "reports/results.csv")
    return ["verify", "--results", "--project", str(root)]


def test_a_mini_run_is_no_comparison(tmp_path, capsys):
    tasks = ("audio->image", "audio->text", "image->text", "points->text")
    rows = [row(task, 500, 300) for task in tasks]
    assert main(write(tmp_path, rows, corpora="mini", spaces="mini")) == 2
    out = capsys.readouterr().out
    lines = [line.split(" | ") for line in out.splitlines() if line.startswith("| ")]
    lines = [cells for cells in lines if cells[0] != "| model"]
    assert sum(len(cells[2].split(" / ")) for cells in lines) == len(published())
    assert all(cells[3] == "" and cells[4].startswith("not run") for cells in lines)
    assert "132 published numbers: 0 run as published, 0 otherwise, 132 not run\n" in out
    assert "These benchmarks need `corpora: paper`" in out


def test_the_command_prints_protocol_numbers_versions_and_sources(tmp_path, capsys):
    rows = as_published("ESC-50", r1=0.6543) + [row(LVIS, 9, 9, method="leaf", map=0.1)]
    assert main(write(tmp_path, rows)) == 0
    out = capsys.readouterr().out
    own = "yes, with prompts of our wording"
    for line in (
        "ESC-50: audio->text (esc50) 2000 x 50, split all",
        f"| Ex-MCR | R@1 / R@5 | 71.20 / 96.80 | 65.43 / 50.00 | {own} | OmniBind, classification |",
        f"| Ex-MCR | R@1 | 68.35 | 65.43 | {own} | FreeBind |",
        "| Ex-MCR | R@1 / R@5 | 7.01 / 22.04 |  | not run | OmniBind, retrieval |",
        "| CLAP | R@1 | 90.95 |  | not run | OmniBind, classification |",
        "| TextME | R@1 | 77.25 |  | not run (a model that this library does not have) | TextME |",
        "| ULIP v2 | mAP | 11.41 | 10.00 | no: 9 x 9, published 46205 x 46205; "
        "image->points (objaverse) was not run | Ex-MCR |",
        "132 published numbers: 3 run as published, 3 otherwise, 126 not run",
    ):
        assert f"\n{line}\n" in out, line
    for name in ("Ex-MCR-base", "Ex-MCR-huge", "Ex-MCR-huge + ImageBind"):
        assert f"- {name}: not run: weights not released" in out and name in NOT_RELEASED
    assert all(url in out for _, url in SOURCES.values()) and "need `corpora" not in out


def test_methods_of_the_comparison_are_taken_from_its_table(tmp_path, capsys):
    command = write(tmp_path, as_published("FlickrNet"))
    assert main(command) == 0
    assert "| C-MCR | R@1 / R@5 | 1.39 / 5.97 |  | not run |" in capsys.readouterr().out
    more = as_published("FlickrNet", method="cmcr", r1=0.01) + as_published("FlickrNet", r1=0.9)
    tables.write(more, tmp_path / "reports/compare.csv")
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "| C-MCR | R@1 / R@5 | 1.39 / 5.97 | 1.00 / 50.00 (compare.csv) | yes |" in out
    assert "| Ex-MCR | R@1 / R@5 | 1.57 / 5.94 | 50.00 / 50.00 | yes |" in out, (
        "results.csv counts first"
    )


def test_a_method_of_a_task_is_never_averaged_over_two_files():
    first, second = BENCHMARKS["Clotho"].sizes
    results = [row(first, 1045, 5225, r1=0.2), row(second, 5225, 1045, method="cmcr", r1=0.6)]
    compared = [row(first, 1045, 5225, seed=seed, r1=0.9) for seed in (0, 1)]
    compared += [row(second, 5225, 1045, seed=1, r1=0.4), row(first, 1045, 5225, method="cmcr")]
    table = against(params(), pd.DataFrame(results), pd.DataFrame(compared))
    own = table[(table.benchmark == "Clotho") & (table.metric == "r1")].set_index("model")
    assert own.ours["Ex-MCR"] == pytest.approx(30) and own.ours["C-MCR"] == pytest.approx(55)
    assert own.file["Ex-MCR"] == "results.csv, compare.csv" and own.file["CLAP"] == ""
    assert set(table[table.file != ""].benchmark) == {"Clotho"}
    nothing_new = against(params(), pd.DataFrame(results), pd.DataFrame(compared[:2]))
    assert set(nothing_new.file) == {"results.csv", ""}


def test_missing_or_damaged_results_are_one_line(tmp_path, capsys):
    command = write(tmp_path, as_published("ESC-50"))
    path = tmp_path / "reports/results.csv"
    path.write_text(path.read_text()[:-9])
    assert main(command) == 2 and "is damaged" in capsys.readouterr().err
    path.unlink()
    assert main(command) == 2 and "no results at" in capsys.readouterr().err


TREES = {
    "present": (
        make_trees,
        PAPER,
        {
            "ModelNet40": "3 x 40, published 2468 x 40",
            "Objaverse": "2 x 2, published 46205 x 46205",
            "COCO": "2 x 5, published 5000 x 25010",
            "AudioCaps": "1 x 2, published 975 x 4875",
        },
        "ESC-50",
    ),
    "further": (
        make_benchmark_trees,
        BENCHMARK_LINES,
        {
            "ESC-50": "3 x 3, published 2000 x 50",
            "AudioSet": "2 x 2, published 527 x 20371",
            "Clotho": "2 x 10, published 1045 x 5225",
            "Flickr30K": "2 x 10, published 1000 x 5000",
            "ImageNet": "2 x 3, published 50000 x 1000",
            "ScanObjectNN": "4 x 15, published 2890 x 15",
            "Objaverse": "2 x 2, published 46205 x 46205",
            "Objaverse-LVIS": "2 x 2, published 46205 x 1156",
        },
        "ModelNet40",
    ),
}


@pytest.mark.parametrize("make, lines, different, absent", TREES.values(), ids=TREES)
def test_a_tiny_benchmark_in_the_true_layout_is_not_as_published(
    tmp_path, capsys, make, lines, different, absent
):
    """From files in the layout of the download to the verdict, with random vectors for the encoders."""
    make(tmp_path)
    items = pd.read_parquet(corpora.build("paper", tmp_path, paper=lines))
    rng, rows = np.random.default_rng(0), []
    for task in tasks(items, "test"):
        sizes = len(task.queries), len(task.gallery)
        ends = (unit(rng.normal(size=(n, 4)).astype(np.float32)) for n in sizes)
        rows += tables.rows_of_vectors(task, "exmcr", 0, *ends)
    command = write(tmp_path, rows, paper=lines)
    capsys.readouterr()
    assert main(command) == 0
    parts = capsys.readouterr().out.split("\n\n| model")[1:]
    own = {
        name: {row.split(" | ")[4] for row in part.splitlines() if row.startswith("| Ex-MCR |")}
        for name, part in zip(BENCHMARKS, parts, strict=True)
    }
    for name, difference in different.items():
        assert own[name] == {f"no: {difference}"}, name
    assert own[absent] == {"not run"}
