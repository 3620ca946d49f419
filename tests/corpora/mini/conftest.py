"""A data lock of a test's own, and systems with and without apt and npm."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from debs import Server

from exmcr.corpora.mini import debian, npm
from exmcr.corpora.mini.fetching import data_lock


@pytest.fixture
def pin(monkeypatch, tmp_path_factory):
    """A function that puts the file of a package into the data lock, which is empty at first."""
    path = tmp_path_factory.mktemp("lock") / "data.lock.yaml"
    path.write_text("[]\n")
    monkeypatch.setattr(data_lock, "PATH", path)

    def pin(blob, name="demo", version="1.0", kind="deb"):
        file = f"{name}_{version.replace(':', '%3a')}_all.deb" if kind == "deb" else npm.FILE
        sha1 = hashlib.sha1(blob).hexdigest() if kind == "deb" else ""
        sha256 = hashlib.sha256(blob).hexdigest()
        entry = data_lock.Package(name, kind, version, file, len(blob), sha256, sha1)
        data_lock.write(entry)
        return entry

    return pin


@pytest.fixture
def no_programs(monkeypatch, tmp_path):
    """A system without apt and npm, and without a network."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(debian, "ARCHIVE", "http://127.0.0.1:9/")
    monkeypatch.setattr(npm, "SERVERS", ("http://127.0.0.1:9/",))
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def archive(no_programs, monkeypatch):
    """A server in the place of Debian's archive of old packages; tests fill its `blobs`."""
    with Server() as server:
        monkeypatch.setattr(debian, "ARCHIVE", server.url)
        yield server


@pytest.fixture
def program(no_programs, monkeypatch, tmp_path_factory):
    """A function that installs a shell script as a program: `program("apt-get", "exit 1")`."""
    folder = tmp_path_factory.mktemp("bin")
    if setpriv := shutil.which("setpriv", path=os.defpath):
        (folder / "setpriv").symlink_to(setpriv)
    monkeypatch.setenv("PATH", str(folder))

    def install(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        path.chmod(0o755)

    return install


@pytest.fixture
def apt(program, tmp_path_factory, monkeypatch):
    """A function that adds a .deb to the packages that a made-up apt offers.

    Every call of apt-get adds a line to $APT/log.
    """
    repository = tmp_path_factory.mktemp("apt")
    monkeypatch.setenv("APT", str(repository))
    (repository / "lists").touch()
    program("apt-cache", 'cat "$APT/lists"; exit 1')
    program(
        "apt-get",
        'echo "$@" >> "$APT/log"\n'
        'for wanted in "$@"; do [ -e "$APT/$wanted" ] && cp "$APT/$wanted/"* .; done; exit 0',
    )

    def offer(blob, name="demo", version="1.0", content=None):
        place = repository / f"{name}={version}"
        place.mkdir()
        (place / f"{name}_{version.replace(':', '%3a')}_all.deb").write_bytes(content or blob)
        with (repository / "lists").open("a") as lists:
            lists.write(
                f"Package: {name}\nVersion: {version}\nDescription: a\n more: b\n"
                f"SHA256: {hashlib.sha256(blob).hexdigest()}\n\n"
            )
        return repository

    return offer


class Child:
    """A Python process that runs code on the data lock and the archive of a test."""

    def __init__(self, code):
        prelude = (
            "import os, signal, sys, time\n"
            "from unittest import mock\n"
            # Fetching does not use pandas, which takes longer to import than all the rest.
            "sys.modules['pandas'] = mock.MagicMock()\n"
            "from pathlib import Path\n"
            "from exmcr.corpora.mini import debian\n"
            "from exmcr.corpora.mini.fetching import archives, data_lock, store, transfer\n"
            f"data_lock.PATH = Path({str(data_lock.PATH)!r})\n"
            f"debian.ARCHIVE = {debian.ARCHIVE!r}\n"
            "def kill(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", prelude + code], stdout=subprocess.DEVNULL
        )

    def status(self):
        """The exit status; the negative number of the signal if one ended it."""
        return self.process.wait(60)


@pytest.fixture
def child(monkeypatch):
    """A function that starts a Child. A fork of this process could inherit a lock of a thread."""
    monkeypatch.setenv("PYTHONPATH", str(data_lock.PACKAGE.parent))
    children = []

    def start(code):
        children.append(Child(code))
        return children[-1]

    yield start
    for each in children:
        each.process.kill()
        each.process.wait()
