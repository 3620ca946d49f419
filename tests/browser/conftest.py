"""JupyterLab as `make lab` starts it, in a copy of the project, and a browser before it."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress

import pytest
from chromium import PROGRAM, Chromium, wait

from exmcr import lab
from exmcr.common.paths import project_root

ROOT = project_root()
# All cells are in the page, not only those in view.
SETTINGS = {"@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"}}


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of what `make lab` reads, with the toy spaces of the repository if they are made."""
    folder = tmp_path_factory.mktemp("lab") / "project"
    folder.mkdir()
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    if (ROOT / "build/toy/.fit_spaces").is_file():
        # Not while a notebook is making it: then the lab makes its own.
        with (ROOT / "build/.toy.lock").open("w") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.copytree(ROOT / "build/toy", folder / lab.TOY)
    return folder


@pytest.fixture(scope="session")
def address(project):
    """The address of JupyterLab on that copy."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = project.parent / "settings"
    for name, content in SETTINGS.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    own = {name: str(project.parent / "jupyter") for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = (
        os.environ
        | own
        | {
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(project.parent / "workspaces"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
    )
    options = ["--no-browser", "--allow-root", "--ServerApp.token=", f"--ServerApp.port={port}"]
    options += ["--LabApp.expose_app_in_browser=True", "--ServerApp.log_level=ERROR"]
    command = [sys.executable, "-m", "exmcr.lab", *options]
    log = (project.parent / "lab.log").open("w")
    server = subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert server.poll() is None, (project.parent / "lab.log").read_text()
        try:
            return urllib.request.urlopen(f"{url}/api", timeout=5).status == 200
        except OSError:
            return False

    wait(answers, 240, "JupyterLab")
    yield url
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("no Chromium: apt install chromium")
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
