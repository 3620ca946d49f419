"""The stages as commands: what stops one is noted, notebooks are executed, and two ranks, one of
them killed on the way, leave the same project as one process."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import forked
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
import toy_spaces
import yaml
from kernels import without_socket_errors

from exmcr import corpora, pipeline
from exmcr.banks.bank import Bank
from exmcr.commands import notebook, stages
from exmcr.commands.main import main
from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.project import Project
from exmcr.training import projectors

ROOT = Path(__file__).parents[2]


# What stops a stage


@pytest.fixture
def content():
    full = yaml.safe_load((ROOT / "params.yaml").read_text())
    return full | {"corpora": "toy", "sample": None}


@pytest.fixture
def folder(tmp_path, content, monkeypatch):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_notebook(folder, name, *lines):
    """A notebook with a parameter `project` and one cell per line."""
    cells = [
        nbformat.v4.new_code_cell("project = 'toy'", metadata={"tags": ["parameters"]}),
        *map(nbformat.v4.new_code_cell, lines),
    ]
    made = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    path = folder / f"notebooks/{name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(made, path)


def test_a_stage_that_stops_says_why_in_its_last_line(folder, content, capfd):
    content["spaces"] = "paper"
    content["encoders"]["clip"]["checkpoint"] = "weights/mine.safetensors"
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    corpora.build("toy", folder)
    line = "from exmcr import pipeline, project as p; pipeline.fit_spaces(p.Project(project))"
    write_notebook(folder, "00_spaces", line)
    write_notebook(folder, "01_extract", "1 / 0")
    assert main(["spaces", "--notebook"]) == 2
    said = capfd.readouterr().err
    reason = f"00_spaces: no weight file {folder}/weights/mine.safetensors; `exmcr weights`"
    last = said.splitlines()[-1]
    assert last.startswith(f"exmcr spaces: {reason}"), said
    assert "Traceback" not in without_socket_errors(said)
    note = folder / "reports/stopped.txt"
    assert note.read_text() == last.removeprefix("exmcr ") + "\n"
    # The traceback is kept in the executed notebook.
    assert "ConfigError" in (folder / "reports/notebooks/00_spaces.ipynb").read_text()
    assert main(["extract", "--notebook"]) == 3
    said = capfd.readouterr().err
    reason = "extract: 01_extract: ZeroDivisionError: division by zero"
    assert said.splitlines()[-1].startswith(f"exmcr {reason}")
    assert "Traceback" not in without_socket_errors(said)
    assert note.read_text().startswith(reason)
    assert "ZeroDivisionError" in (folder / "reports/notebooks/01_extract.ipynb").read_text()


def test_a_notebook_is_executed_on_the_project_and_the_note_of_an_earlier_stop_removed(folder):
    write_notebook(
        folder, "02_pair", "from pathlib import Path", "Path('seen').write_text(project)"
    )
    note = folder / "reports/stopped.txt"
    note.parent.mkdir()
    note.write_text("pair: earlier\n")
    assert main(["pair", "--notebook"]) == 0
    assert not note.exists() and (folder / "seen").read_text() == "."
    assert (folder / "reports/notebooks/02_pair.ipynb").is_file()


def test_the_stage_without_a_notebook_says_why_it_stops_too(folder, content, capsys):
    (folder / "params.yaml").write_text(yaml.safe_dump(content | {"sample": 0}))
    assert main(["corpora"]) == 2
    reason = "corpora: params.yaml cannot be used:\n  - sample: must be greater than 0, is 0\n"
    assert capsys.readouterr().err == f"exmcr {reason}"
    note = folder / "reports/stopped.txt"
    assert note.read_text() == reason
    (folder / "params.yaml").write_text(yaml.safe_dump(content | {"sample": 2}))
    assert main(["corpora"]) == 0
    assert not note.exists() and (folder / "data/items.parquet").is_file()


def test_an_error_of_the_program_is_noted_with_its_type(folder, monkeypatch):
    monkeypatch.setattr(pipeline, "pair", lambda project: 1 / 0)
    assert main(["pair"]) == 3
    note = (folder / "reports/stopped.txt").read_text()
    assert note == "pair: ZeroDivisionError: division by zero\n"
    assert "Traceback" in (folder / "reports/error.log").read_text()


@pytest.mark.parametrize(
    "command, stage",
    [("spaces", "fit_spaces"), ("pair", "pair"), ("extract", "extract"), ("train", "train")],
)
def test_a_stage_runs_its_function_or_its_notebook(command, stage, folder, monkeypatch, capsys):
    calls = []
    table = pd.DataFrame({"answer": [42]})
    monkeypatch.setattr(pipeline, stage, lambda project, **_: calls.append(project.root) or table)
    monkeypatch.setattr(stages, "execute", lambda name, root: calls.append((name, root)))
    assert main([command]) == 0 and calls == [folder]
    assert capsys.readouterr().out.split() == ["answer", "42"]
    calls.clear()
    assert main([command, "--notebook", "--project", str(folder)]) == 0
    assert calls == [(stages.NOTEBOOKS[command], folder)]


@pytest.mark.parametrize("flag", [[], ["--notebook"]])
@pytest.mark.parametrize("name", ["visualize", "examples"])
def test_figures_and_examples_are_always_their_notebooks(name, flag, folder, monkeypatch):
    calls = []
    monkeypatch.setattr(stages, "execute", lambda name, root: calls.append((name, root)))
    assert main([name, *flag]) == 0
    notebook = {"visualize": "05_visualize", "examples": "06_search"}[name]
    assert calls == [(notebook, folder)]


def test_evaluate_prints_the_table_that_results_prints(folder, monkeypatch, capsys):
    from exmcr.evaluation import tables

    row = dict.fromkeys(tables.columns(), 0.5) | {"task": "a->b", "concept_subset": "all"}
    table = pd.DataFrame([row | {"method": "hop", "seed": 0}])

    def evaluate(project):
        table.to_csv(project.reports / "results.csv", index=False)
        return table

    (folder / "reports").mkdir()
    monkeypatch.setattr(pipeline, "evaluate", evaluate)
    assert main(["evaluate"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("| task |") and "| a->b |" in printed
    assert main(["results"]) == 0 and capsys.readouterr().out == printed


def test_every_notebook_of_a_stage_exists():
    for name in stages.NOTEBOOKS.values():
        assert (ROOT / f"notebooks/{name}.ipynb").is_file()
    with pytest.raises(ConfigError, match="no notebook .*99_none.ipynb"):
        notebook.execute("99_none", ROOT)


def test_an_interrupted_notebook_says_nothing_of_the_task_that_it_leaves(
    folder, monkeypatch, caplog
):
    """nbclient leaves its task, which fails when the kernel ends; nobody asks for its error."""

    async def fail():
        raise RuntimeError("the kernel died")

    def interrupted(*_, **__):
        loop = asyncio.new_event_loop()
        task = loop.create_task(fail())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        assert task.done()
        raise KeyboardInterrupt

    write_notebook(folder, "02_pair", "1")
    monkeypatch.setattr("papermill.execute_notebook", interrupted)
    logger = logging.getLogger("asyncio")
    level = logger.level
    try:
        with contextlib.suppress(KeyboardInterrupt):
            notebook.execute("02_pair", folder)
        gc.collect()
    finally:
        logger.setLevel(level)
    assert "never retrieved" not in caplog.text


# Several processes


@pytest.mark.parametrize("arguments", [["pair"], ["visualize"], ["extract", "--notebook"]])
def test_what_one_process_does_is_refused_under_torchrun(arguments, folder, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(arguments) == 2
    said = capsys.readouterr().err
    what = "--notebook" if "--notebook" in arguments else arguments[0]
    assert said == (
        f"exmcr {arguments[0]}: {what} runs in one process; torchrun can share extract and train "
        "only\n"
    )


def test_torchrun_starts_the_command_without_python(folder):
    """As it is documented; the command itself refuses, so that the test is short."""
    bin = Path(sys.executable).parent
    done = subprocess.run(
        [bin / "torchrun", "--nproc-per-node", "2", "--no-python", bin / "exmcr", "pair"],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        timeout=200,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "exmcr pair: pair runs in one process" in done.stderr


KILLED = "sounds text"  # while this is encoded; all of `wide` is done by then


def two(folder: Path, attempt: str):
    """One rank: `exmcr extract`, in which the second one is killed at the first attempt, then
    `exmcr train`. Stores how many items it encoded, and what it printed."""
    rank, encoded = os.environ["RANK"], Counter()
    encode_batch = toy_spaces.Toy.encode_batch

    def watched(self, modality, items):
        what = f"{self.name} {modality}"
        # One shard is done, the next one loaded.
        if (rank, attempt, what, encoded[what]) == ("1", "first", KILLED, 8):
            os.kill(os.getpid(), signal.SIGKILL)
        encoded[what] += len(items)
        return encode_batch(self, modality, items)

    toy_spaces.Toy.encode_batch = watched
    # One group for both commands: gloo cannot be set up twice in a process.
    with (
        (folder / f"printed-{rank}.txt").open("w") as out,
        contextlib.redirect_stdout(out),
        distributed.torchrun() as group,
    ):
        distributed.torchrun = lambda: contextlib.nullcontext(group)
        for command in ("extract", "train"):
            assert main([command, "--project", str(folder)]) == 0
    (folder / f"encoded-{rank}.json").write_text(json.dumps(encoded))


def kept(folder: Path) -> Counter:
    """Items by "space modality" that are on disk, in banks and in shards of unfinished ones."""
    found = Counter()
    for ids in folder.glob("banks/*/*/*/ids.parquet"):
        found["{} {}".format(*ids.parts[-4:-2])] += len(pd.read_parquet(ids))
    for path in folder.glob("banks/*/*/*/shards/*.npz"):
        with np.load(path) as shard:
            found["{} {}".format(*path.parts[-5:-3])] += len(shard["ids"])
    return found


def test_two_processes_one_of_them_killed_leave_the_project_of_one(
    tmp_path, monkeypatch, capsys, request
):
    one, other = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(1)  # as in the processes: the last bits of sums depend on it
    params = toy_spaces.install(one, monkeypatch)
    (one / "params.yaml").write_text(yaml.safe_dump(params))
    corpora.build("toy", one)
    project = Project(one)
    pipeline.fit_spaces(project)
    shutil.copytree(one, other)
    assert main(["extract", "--project", str(one)]) == 0
    pipeline.pair(project)
    shutil.copytree(one / "pairs", other / "pairs")
    assert main(["train", "--project", str(one)]) == 0
    tables = capsys.readouterr().out

    def launch(attempt):
        return forked.ranks(lambda: two(other, attempt))

    assert launch("first")[1] == -signal.SIGKILL
    before = kept(other)
    assert launch("second") == [0, 0]
    printed, nothing = ((other / f"printed-{rank}.txt").read_text() for rank in (0, 1))
    assert printed.count("skipped") == printed.count("inter") == 1 and nothing == "", (
        "the first process prints, and it alone"
    )
    assert printed.splitlines()[0].split() == tables.splitlines()[0].split()

    paths = sorted(path.relative_to(one) for path in one.glob("banks/**/*") if path.is_file())
    assert (
        paths
        == sorted(path.relative_to(other) for path in other.glob("banks/**/*") if path.is_file())
        and len(paths) == 3 * 21
    )
    for path in paths:
        assert (one / path).read_bytes() == (other / path).read_bytes(), path

    everything = Counter()
    for bank in map(Bank, {path.parent for path in one.glob("banks/*/*/*/*")}):
        everything[f"{bank.meta['space']} {bank.meta['modality']}"] += len(bank)
    after = [Counter(json.loads((other / f"encoded-{rank}.json").read_text())) for rank in (0, 1)]
    assert (
        before["wide image"] == everything["wide image"]
        and 8 <= before[KILLED] < everything[KILLED]
    ), "it was killed in the middle"
    assert after[0] and after[1] and before + after[0] + after[1] == everything, (
        "what was done is not encoded again"
    )

    for name in ("audio-seed0", "points-seed0"):
        mine, theirs = (
            projectors.load(folder / f"models/projectors/{name}.safetensors")
            for folder in (one, other)
        )
        # AdamW divides a gradient that is zero up to rounding by itself, so that float32 weights of no effect differ; in float64,
        # in tests/training, all agree.
        with torch.no_grad():
            dim = mine.Head1.weight.shape[1]
            x = torch.nn.functional.normalize(
                torch.randn(50, dim, generator=torch.manual_seed(0)), dim=1
            )
            assert torch.allclose(mine(x), theirs(x), rtol=0, atol=5e-3)
        notes = [
            json.loads((folder / f"models/projectors/{name}.json").read_text())
            for folder in (one, other)
        ]
        for note in notes:  # of weights that differ in their last bits
            assert note.pop("sha256") and note.pop("losses") and note.pop("digest")
        assert notes[0] == notes[1] and notes[0]["key"]
    losses, its = (pd.read_csv(folder / "reports/losses.csv") for folder in (one, other))
    pd.testing.assert_frame_equal(losses, its, rtol=0, atol=1e-5)
    assert not list((other / "models/projectors").glob("*.ckpt"))
