"""DVC experiments: params.yaml, projectors, results and notes always belong to one experiment.

The stages `train` and `evaluate` of dvc.yaml, on imported embeddings. Importing torch would take most
of the time of a stage, so the `exmcr` that dvc finds passes its arguments to this process, which runs
them in a fork.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import forked
import pandas as pd
import pytest
import torch
import yaml
from own_embeddings import import_all

from exmcr.commands.main import main
from exmcr.common.paths import project_root
from exmcr.config import load

BIN = Path(sys.executable).parent
STAGES = ("train", "evaluate")


# Sends its folder and arguments to a port; prints what comes back, the exit status before it.
EXMCR = """import json, os, socket, sys
with socket.create_connection(("127.0.0.1", {port})) as server:
    server.sendall(json.dumps([os.getcwd(), sys.argv[1:]]).encode() + b"\\n")
    status, _, said = server.makefile(encoding="utf-8").read().partition("\\n")
sys.stdout.buffer.write(said.encode())
sys.exit(int(status))
"""


def answer(server: socket.socket, out: Path) -> None:
    """Run one command of EXMCR, if there is one."""
    try:
        connection, _ = server.accept()
    except TimeoutError:
        return

    def work():
        os.chdir(folder)
        torch.set_num_threads(1)  # a child may not use the threads of its parent
        with out.open("w") as file, redirect_stdout(file), redirect_stderr(file):
            assert main(arguments) == 0

    with connection:
        connection.settimeout(20)
        folder, arguments = json.loads(connection.makefile().readline())
        status = forked.result(forked.start(work))
        connection.sendall(f"{status}\n{out.read_text()}".encode())


@pytest.fixture
def run(tmp_path_factory):
    """run("dvc", "repro"): what a command of git or dvc prints, on both streams."""
    bin = tmp_path_factory.mktemp("bin")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        client = bin / "client.py"
        client.write_text(EXMCR.format(port=server.getsockname()[1]))
        command = shlex.join([sys.executable, "-IS", str(client)])
        (bin / "exmcr").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (bin / "exmcr").chmod(0o755)
        path = os.pathsep.join(map(str, (bin, BIN, os.environ["PATH"])))
        env = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "x@y", f"GIT_{who}_EMAIL": "x@y"}

        def run(*command):
            with (bin / "said").open("w+") as said:
                process = subprocess.Popen(command, env=env, stdout=said, stderr=said)
                while process.poll() is None:
                    answer(server, bin / "out")
                said.seek(0)
                text = said.read()
            assert process.returncode == 0, text
            return text

        yield run


@pytest.fixture
def repo(folder, run):
    """A repository with the two stages, run once and committed."""
    root = project_root(Path(__file__).parent)
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    chosen = {name: stages[name] for name in STAGES}
    for name, stage in chosen.items():
        stage["cmd"] = f"exmcr {name}"
        stage["deps"] = [dep for dep in stage["deps"] if not dep.startswith(("exmcr", "notebooks"))]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": chosen}, sort_keys=False))
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(
        "# a comment\n" + text.replace("\n  tau2: 0.1\n", "\n  tau2: 0.05 # why\n")
    )
    params = load(folder / "params.yaml")
    assert params.train.tau2 == 0.05
    shutil.copy(root / ".gitignore", folder)
    import_all()
    for stage in ("corpora", "pair"):
        assert main([stage]) == 0
    for command in (
        "git init -q",
        "dvc init -q",
        "dvc repro -q",
        "git add -A",
        "git commit -qm all",
    ):
        run(*command.split())
    return folder


def noted():
    """tau2 and seeds of params.yaml, of the stored projector, and of the results."""
    params = load(Path("params.yaml"))
    note = json.loads(Path("models/projectors/audio-seed0.json").read_text())
    results = pd.read_csv("reports/results.csv")
    seeds = sorted(set(results[results.method == "exmcr"].seed))
    return (params.train.tau2, params.seeds), note["train"]["tau2"], seeds


def test_results_projectors_and_params_are_of_one_experiment(repo, run, capsys):
    """The second has fewer seeds and the same seed 0: its results average no seeds of the first."""
    results = {None: Path("reports/results.csv").read_text()}
    for name, tau2, seeds in (("a", 0.5, "[0,1]"), ("b", 0.02, "[0]")):
        assert main(["set", f"train.tau2={tau2}", f"seeds={seeds}"]) == 0
        said = run("dvc", "exp", "run", "-n", name)
        assert "Running stage 'evaluate'" in said
        expected = json.loads(seeds)
        assert noted() == ((tau2, expected), tau2, expected)
        text = Path("params.yaml").read_text()
        assert text.startswith("# a comment\n") and f"tau2: {tau2} # why\n" in text
        results[name] = Path("reports/results.csv").read_text()
    assert len(set(results.values())) == 3
    shown = run("dvc", "exp", "show", "--csv")
    assert "0.5" in shown and "metrics.json" in shown or "audio->image" in shown

    run("dvc", "exp", "apply", "a")
    assert Path("reports/results.csv").read_text() == results["a"]
    capsys.readouterr()
    assert main(["export", "out"]) == 2, "the projectors are those of b"
    said = capsys.readouterr().err
    assert "audio-seed0.safetensors was trained with other settings (train)" in said
    assert "`dvc repro train`" in said and len(said.splitlines()) == 1
    said = run("dvc", "repro")
    assert "Running stage 'train'" in said
    assert noted() == ((0.5, [0, 1]), 0.5, [0, 1])
    assert Path("reports/results.csv").read_text() == results["a"]
    assert main(["export", "out"]) == 0
