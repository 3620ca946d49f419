"""`exmcr search` prints the nearest items of a project."""

import numpy as np
import pytest
import yaml
from stored import store
from synthetic import project

from exmcr.commands.main import main
from exmcr.model import exmcr as model
from exmcr.project import Project
from exmcr.spaces.base import Space


class Base(Space):
    """The vector of a text is that of the first test image."""

    name, modalities, dim, fingerprint = "mini-image-text", ("image", "text"), 16, "synthetic"

    def __init__(self, vector):
        self.vector = vector

    def encode_batch(self, modality, items):
        assert modality == "text"
        return np.stack([self.vector] * len(items))


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A project with random projectors and a base that encodes texts."""
    opened = project(tmp_path, concepts=5)
    content = yaml.safe_load((tmp_path / "params.yaml").read_text()) | {"seeds": [0, 4]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    for leaf in opened.leaves:
        for seed in (0, 4):
            store(opened, leaf, seed, (16, 16, 8), ("synthetic", "synthetic"))
    vector = opened.bank("mini-image-text", "image", "test").vectors[0]
    monkeypatch.setattr(model, "load_space", lambda name, **_: Base(vector))
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_the_nearest_items_are_printed_with_score_caption_and_id(trained, capsys):
    assert main(["search", "a dog", "-k", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1.000  thing 0  image/test/0/0" and len(lines) == 3
    scores = [float(line.split()[0]) for line in lines]
    assert scores == sorted(scores, reverse=True)


def test_a_leaf_is_searched_through_the_projector_of_a_seed(trained, capsys):
    printed = []
    for arguments in ([], ["--seed", "0"], ["--seed", "4"], ["--split", "val"]):
        assert main(["search", "a dog", "--in", "audio", *arguments]) == 0
        printed.append(capsys.readouterr().out)
    default, zero, four, val = printed
    assert default == zero != four
    assert "audio/test/" in zero and "audio/val/" in val and len(val.splitlines()) == 5
