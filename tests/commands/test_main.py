"""The command line as a whole: help, names, and errors of one line."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from stored import store

from exmcr.commands.main import app, main
from exmcr.common.errors import BadItem, ConfigError
from exmcr.evaluation import tables

ROOT = Path(__file__).parents[2]
# Every command, with arguments that it cannot do without.
COMMANDS = {
    "corpora": [],
    "spaces": [],
    "extract": [],
    "pair": [],
    "train": [],
    "evaluate": [],
    "visualize": [],
    "examples": [],
    "set": ["sample=3"],
    "compare": [],
    "sweep": [],
    "ablate": ["tau2"],
    "growth": [],
    "cones": [],
    "downstream": [],
    "speech": [],
    "data": [],
    "export": ["out"],
    "import-bank": ["vectors.npy", "--space", "mine", "--modality", "audio"],
    "weights": [],
    "verify": [],
    "results": [],
    "search": ["a dog"],
    "index": ["mine"],
    "demo": [],
    "report": [],
}
STAGES = list(COMMANDS)[:8]
# Commands that check every name in params.yaml before they start.
CHECKED = [*STAGES, "compare", "sweep", "ablate", "downstream", "speech", "demo", "report"]


@pytest.fixture
def content():
    """Parameters of a toy run."""
    full = yaml.safe_load((ROOT / "params.yaml").read_text())
    return full | {"corpora": "toy", "sample": None, "seeds": [0, 1]}


@pytest.fixture
def project(tmp_path, content, monkeypatch):
    """A folder with params.yaml and nothing else, as the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path / "weights"))
    return folder


def one_line(capsys, command, *arguments):
    assert main([command, *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"exmcr {command}: ") and len(err.splitlines()) == 1, err
    return err.strip()


def test_the_commands_are_those_of_this_list():
    assert list(typer.main.get_command(app).commands) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Example" in said and f"exmcr {command}" in said
    assert "--project" in said


def test_without_a_command_the_help_is_printed(capsys):
    main([])
    said = capsys.readouterr()
    assert all(command in said.out + said.err for command in COMMANDS)


def test_visualize_offers_no_choice_but_accepts_the_flag_of_the_other_stages(capsys):
    for command in ("visualize", "examples"):
        main([command, "--help"])
        assert "--notebook" not in capsys.readouterr().out
    main(["train", "--help"])
    assert "--notebook" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        *([command, "--nonsense"] for command in COMMANDS),
        ["results", "more"],
        ["ablate"],
        ["export"],
        ["export", "out", "--seed", "one"],
        ["import-bank", "x.npy", "--space", "mine"],
        ["search", "a dog", "-k", "0"],
    ],
    ids=" ".join,
)
def test_unknown_or_missing_arguments_have_exit_status_2(arguments, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "Usage: exmcr" in said and "Traceback" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_without_a_project_is_one_line_and_stays_empty(command, project, tmp_path, capsys):
    other = tmp_path / "other"
    for folder in (other, tmp_path / "none"):
        assert "params.yaml" in one_line(
            capsys, command, *COMMANDS[command], "--project", str(folder)
        )
        assert not folder.exists() or not any(folder.iterdir())
        other.mkdir(exist_ok=True)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("weights", "verify")])
def test_outside_of_any_project_the_message_names_the_option(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert "--project" in one_line(capsys, command, *COMMANDS[command])


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("weights", "verify")])
def test_wrong_parameters_are_named(command, project, content, capsys):
    (project / "params.yaml").write_text(yaml.safe_dump(content | {"seeds": [0, 0]}))
    assert main([command, *COMMANDS[command]]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"exmcr {command}: params.yaml cannot be used:\n")
    assert "seeds: repeated values" in said and "Traceback" not in said


@pytest.mark.parametrize("command", CHECKED)
def test_names_are_checked_before_a_command_starts(command, project, content, capsys):
    content["train"]["loss"] = "telepathy"
    content["compare"] = {"hop": {"tou": 1}, "dowsing": {}}
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    assert main([command, *COMMANDS[command]]) == 2
    said = capsys.readouterr().err
    for part in ("train.loss: unknown loss 'telepathy'", "compare.hop.tou", "compare.dowsing"):
        assert part in said, said
    assert "Traceback" not in said
    made = {path.relative_to(project).as_posix() for path in project.rglob("*")}
    note = {"reports", "reports/stopped.txt"} if command in STAGES else set()
    assert made == {"params.yaml"} | note, "nothing was begun"


MISSING = {
    "spaces": "no item table at",
    "extract": "no item table at|run `exmcr spaces`",
    "pair": "no bank at",
    "train": "no pseudo-pairs .*run `exmcr pair`|no bank at .*run `exmcr extract`",
    "evaluate": "no projector at",
    "visualize": "no notebook .*05_visualize.ipynb",
    "examples": "no notebook .*06_search.ipynb",
    "compare": "no item table at",
    "sweep": "no item table at",
    "ablate": "no item table at",
    "downstream": "no projector at",
    "speech": "no projector at",
    "export": "no projector at",
    "import-bank": "vectors.npy",
    "results": "no results at",
    "search": "no projector at",
}


@pytest.mark.parametrize("command", MISSING)
def test_missing_inputs_are_one_line(command, project, capsys):
    assert re.search(MISSING[command], one_line(capsys, command, *COMMANDS[command]))


def test_verify_without_files_names_them_and_has_exit_status_2(project, tmp_path, capsys):
    assert main(["verify"]) == 2
    said = capsys.readouterr()
    assert said.err == "" and "ex_clap.pt" in said.out and str(tmp_path / "weights") in said.out


def test_missing_paper_corpora_are_one_line(project, content, capsys):
    (project / "params.yaml").write_text(yaml.safe_dump(content | {"corpora": "paper"}))
    assert one_line(capsys, "corpora")


@pytest.fixture
def extended(project):
    """The project with results, and projectors of two seeds."""
    from exmcr.project import Project

    opened = Project(project)
    for leaf in opened.leaves:
        for seed in opened.params.seeds:
            store(opened, leaf, seed, (8, 12, 16))
    row = dict.fromkeys(tables.columns(), 0.5) | {"concept_subset": "all", "method": "hop"}
    opened.reports.mkdir()
    rows = [row | {"task": f"task {n}", "seed": 0} for n in range(3000)]
    pd.DataFrame(rows).to_csv(opened.reports / "results.csv", index=False)
    np.save(project / "vectors.npy", np.eye(3, dtype=np.float32))
    return project


@pytest.mark.parametrize(
    "command, arguments, message",
    [
        ("compare", ["telepathy"], "unknown method 'telepathy'; known: direct, "),
        ("compare", ["--subset", "odd"], "unknown subset 'odd'; known: all, seen, unseen"),
        ("sweep", ["telepathy"], "'telepathy'; known: hop, "),
        ("sweep", ["--chosen", "telepathy"], "unknown method 'telepathy'; known: direct, "),
        ("ablate", ["telepathy"], "unknown factor 'telepathy'"),
        ("export", ["out", "--seed", "99"], "no projector at .*seed99"),
        ("import-bank", ["vectors.npy", "--space", "s", "--modality", "smell"], "smell"),
        (
            "import-bank",
            ["vectors.npy", "--space", "s", "--modality", "audio", "--split", "odd"],
            "unknown split 'odd'; known: train, val, test",
        ),
        ("weights", ["nonsense"], "no weight file 'nonsense'"),
        ("results", ["--metric", "odd"], "unknown metric 'odd'; known: r1, "),
        ("results", ["--subset", "odd"], "unknown subset 'odd'"),
        ("search", ["a dog", "--as", "smell"], "no modality 'smell'"),
        ("search", ["a dog", "--in", "smell"], "no modality 'smell'"),
        ("search", ["a dog", "--split", "odd"], "unknown split 'odd'"),
        ("search", ["none.wav", "--as", "audio", "--seed", "9"], "no projector of seed 9"),
    ],
)
def test_an_unknown_name_is_one_line(command, arguments, message, extended, capsys):
    assert re.search(message, one_line(capsys, command, *arguments))


@pytest.mark.parametrize("error", [ConfigError("why"), BadItem("why")])
def test_expected_errors_are_one_line_wherever_they_are_raised(error, project, monkeypatch, capsys):
    from exmcr import pipeline

    def stage(project):
        raise error

    monkeypatch.setattr(pipeline, "pair", stage)
    assert one_line(capsys, "pair") == "exmcr pair: why"


def test_an_error_of_the_program_is_one_line_that_names_the_file_of_its_traceback(
    project, monkeypatch, capsys
):
    from exmcr import pipeline

    monkeypatch.setattr(pipeline, "pair", lambda project: 1 / 0)
    assert main(["pair"]) == 3
    err = capsys.readouterr().err
    log = project / "reports/error.log"
    reason = "ZeroDivisionError: division by zero"
    assert err == f"exmcr pair: {reason} (an error of the program; traceback: {log})\n"
    text = log.read_text()
    assert text.startswith("exmcr pair\n\nTraceback") and "1 / 0" in text
    assert (project / "reports/stopped.txt").read_text() == f"pair: {reason}\n"


def test_without_a_project_the_traceback_goes_to_a_temporary_file(
    project, monkeypatch, tmp_path, capsys
):
    from exmcr.commands import failures

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for arguments in (["verify", "--project", str(tmp_path / "none")], ["verify", "--project"]):
        said = failures.of_program(RuntimeError("line 1\nline 2"), arguments)
        assert said.startswith("RuntimeError: line 1 line 2 (") and len(said.splitlines()) == 1
    assert "RuntimeError" in (tmp_path / "error.log").read_text()
    for path in (tmp_path, project / "reports"):
        monkeypatch.setattr(failures, "write_text", lambda *_: (_ for _ in ()).throw(OSError(28)))
    assert "could not be written" in failures.of_program(RuntimeError("x"), ["verify"])


def test_an_interrupt_is_one_line_and_exit_status_130(project, monkeypatch, capsys):
    from exmcr import pipeline

    def interrupted(project):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "pair", interrupted)
    assert main(["pair"]) == 130
    said = capsys.readouterr()
    assert said.err == "exmcr pair: interrupted; the same command goes on where this one stopped\n"


def test_a_package_of_an_extra_that_is_not_installed_is_one_line(project, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith(("exmcr.figures", "matplotlib."))]:
        monkeypatch.delitem(sys.modules, name)
    import exmcr

    monkeypatch.delattr(exmcr, "figures", raising=False)
    assert "matplotlib" in one_line(capsys, "compare")


def test_results_of_an_older_version_are_one_line(extended, capsys):
    path = extended / "reports/results.csv"
    pd.read_csv(path).rename(columns={"concept_subset": "split"}).to_csv(path, index=False)
    assert "it has no column concept_subset" in one_line(capsys, "results")


HELP = """
import sys, time
from exmcr.commands.main import main
main(["--help"])
alone = time.process_time()
for command in {commands}:
    main([command, "--help"])
heavy = [m for m in ("torch", "numpy", "pandas", "exmcr.config", "matplotlib") if m in sys.modules]
print(alone, heavy, file=sys.stderr)
"""


def test_help_takes_less_than_a_second_and_loads_neither_torch_nor_pandas():
    code = HELP.replace("{commands}", repr(list(COMMANDS)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = done.stderr.strip().split(" ", 1)
    assert float(seconds) < 1 and heavy == "[]"


def test_python_m_exmcr_is_the_command(extended):
    command = [sys.executable, "-m", "exmcr", "results"]
    pipes = {"cwd": extended, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    right = subprocess.Popen(command, **pipes)
    wrong = subprocess.Popen([*command, "--project", "nowhere"], **pipes)  # at the same time
    out, err = right.communicate(timeout=120)
    assert right.returncode == 0 and out.startswith("| task |"), err
    out, err = wrong.communicate(timeout=120)
    assert wrong.returncode == 2 and err.startswith("exmcr results: "), err


@pytest.mark.parametrize("rows", [3, 3000], ids=["buffered", "longer than the pipe"])
def test_a_reader_that_leaves_early_sees_no_traceback(extended, rows):
    path = extended / "reports/results.csv"
    pd.read_csv(path).head(rows).to_csv(path, index=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "exmcr", "results"],
        cwd=extended,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()  # as `head -0` does
    err = process.stderr.read().decode()
    assert process.wait(timeout=60) == 1 and err == ""
