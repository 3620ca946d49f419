"""One extracted toy run that the workflows start from: copies of it cost nothing."""

import copy
import os
import shutil

import own_embeddings
import pytest
import toy_spaces
import yaml

from exmcr import corpora, pipeline
from exmcr.project import Project
from exmcr.spaces import SPACES


@pytest.fixture(scope="session")
def extracted(tmp_path_factory):
    """A project on the toy corpus with three toy encoders, after the stage `extract`."""
    before, folder = dict(SPACES), tmp_path_factory.mktemp("extracted")
    params = toy_spaces.content(folder)
    params["train"] |= {"steps": 3, "batch": 16, "hidden": 32}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    corpora.build("toy", folder)
    project = Project(folder)
    pipeline.fit_spaces(project)
    pipeline.extract(project)
    yield project
    SPACES.clear()
    SPACES.update(before)


@pytest.fixture
def start(extracted, tmp_path):
    """start(name, change) -> a copy of the extracted project whose params.yaml `change` edits."""
    content = yaml.safe_load((extracted.root / "params.yaml").read_text())

    def make(name="run", change=lambda params: None, banks=True):
        folder = tmp_path / name
        folder.mkdir()
        params = copy.deepcopy(content)
        change(params)
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        for part in ("data", *(["banks"] if banks else [])):
            shutil.copytree(extracted.root / part, folder / part, copy_function=os.link)
        for weights in extracted.root.glob("*.safetensors"):
            os.link(weights, folder / weights.name)
        return Project(folder)

    return make


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with params.yaml for two imported spaces, and files of vectors, as the current
    one."""
    own_embeddings.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
