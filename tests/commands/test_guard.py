"""If dvc is killed alone, its stage and the kernel of the notebook end, and a restart works."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import yaml
from kernels import without_socket_errors

from exmcr.commands import guard
from exmcr.commands.main import main

ROOT = Path(__file__).parents[2]
# Like dvc: a process that runs the command of a stage in a shell, and waits for it.
DVC = """
import os, subprocess, sys
env = os.environ | {"DVC_STAGE": "pair"}
subprocess.run(["sh", "-c", f"{sys.executable} -m exmcr pair --notebook; true"], env=env)
"""
BUSY = """
import os, time
from pathlib import Path
Path("kernel").write_text(str(os.getpid()))
Path("stage").write_text(str(os.getppid()))
while not Path("enough").exists():
    time.sleep(0.05)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    parameters = nbformat.v4.new_code_cell("project = 'toy'", metadata={"tags": ["parameters"]})
    cells = [parameters, nbformat.v4.new_code_cell(BUSY)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks/02_pair.ipynb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def until(condition, seconds=150):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def gone(pid):
    """Whether a process has ended; one that nobody waited for has no memory left either."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_the_stage_and_its_kernel_end_with_dvc_and_a_restart_works(folder, how, capfd):
    dvc = subprocess.Popen(
        [sys.executable, "-c", DVC], env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=folder
    )
    until((folder / "stage").exists)
    until(lambda: (folder / "stage").read_text())
    pids = [int((folder / name).read_text()) for name in ("kernel", "stage")]
    assert not any(map(gone, pids))
    dvc.send_signal(how)
    dvc.wait()
    until(lambda: all(map(gone, pids)), 60)
    said = without_socket_errors(capfd.readouterr().err)
    assert "dvc has ended" in said and "Traceback" not in said, said
    if how == signal.SIGKILL:
        (folder / "enough").touch()
        assert main(["pair", "--notebook"]) == 0


def test_without_dvc_nothing_is_watched(monkeypatch):
    started = []
    monkeypatch.setattr(guard.threading, "Thread", lambda **_: started.append(1))
    monkeypatch.delenv("DVC_STAGE", raising=False)
    guard.end_with_dvc()
    assert not started


def test_the_shells_between_a_stage_and_dvc_are_watched_too(monkeypatch):
    tree = {5: ("sh", 4, "50"), 4: ("bash", 3, "40"), 3: ("dvc", 2, "30"), 2: ("make", 1, "20")}
    monkeypatch.setattr(guard, "_stat", tree.get)
    assert guard.starters(5) == [(5, "50"), (4, "40"), (3, "30")]
    assert guard.starters(9) == []
