"""`exmcr results` prints the table of a project."""

import pandas as pd
import pytest

from exmcr.commands.main import main
from exmcr.commands.times import timed
from exmcr.common.paths import project_root
from exmcr.evaluation import tables


def row(method, seed, r1, subset="all"):
    row = dict.fromkeys(tables.columns(), 0.9) | {"task": "audio->image", "seed": seed}
    row |= {"method": method, "concept_subset": subset, "n_queries": 10, "n_gallery": 20}
    return row | {"chance_r1": 0.05, "chance_map": 0.1, "r1": r1, "r5": 0.5, "map": 0.3}


@pytest.fixture
def project(tmp_path):
    """Results of two methods, one of them with two seeds."""
    (tmp_path / "params.yaml").write_text((project_root() / "params.yaml").read_text())
    rows = [row("hop", 0, 0.2), row("exmcr", 0, 0.3), row("exmcr", 1, 0.5)]
    rows += [row("hop", 0, 0.7, "unseen")]
    (tmp_path / "reports").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "reports/results.csv", index=False)
    return tmp_path


def test_one_line_per_task_mean_and_spread_over_seeds(project, capsys):
    assert main(["results", "--project", str(project)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "| task | queries x gallery | chance | hop | exmcr |",
        "|---|---|---|---|---|",
        "| audio->image | 10 x 20 | 5.0 / 10.0 | 20.0 / 30.0 | 40.0±14.1 / 30.0±0.0 |",
    ]


def test_subset_and_metrics_can_be_chosen(project, monkeypatch, capsys):
    monkeypatch.chdir(project / "reports")
    assert main(["results", "--subset", "unseen", "--metric", "r5", "--metric", "r1"]) == 0
    assert capsys.readouterr().out.splitlines()[2].endswith("| 50.0 / 70.0 |")


def test_times_of_the_stages_are_those_that_the_stages_recorded(project, capsys):
    with timed("pair", project):
        pass
    with timed("corpora", project):
        pass
    assert main(["results", "--times", "--project", str(project)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| corpora", "| pair", "| all"]


def test_a_stage_that_fails_records_no_time(project):
    with pytest.raises(ZeroDivisionError), timed("pair", project):
        print(1 / 0)
    assert not (project / "reports/times.json").exists()


def test_without_recorded_times_the_message_says_what_to_run(project, capsys):
    (project / "reports/times.json").write_text("{damaged")
    assert main(["results", "--times", "--project", str(project)]) == 2
    assert "make repro" in capsys.readouterr().err
