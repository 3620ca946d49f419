"""`corpora: paper` with `spaces: mini`: raw data and encoders are chosen independently."""

import numpy as np
import pytest
import yaml
from paper_trees import PAPER, make_trees, picture, sound

from exmcr import config, pipeline, toy_project
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.project import Project
from exmcr.spaces.mini import images, space
from exmcr.spaces.mini.audio_text import SIZE
from exmcr.spaces.mini.features import content_key


class Stub:
    """A backbone without a network: features that follow from the content of an item."""

    fingerprint = "0" * 64

    def __init__(self, size):
        self.size = size

    def __call__(self, items):
        seeds = (int.from_bytes(content_key(item)[:4], "big") for item in items)
        rows = [np.random.default_rng(seed).uniform(0.1, 1, self.size) for seed in seeds]
        return np.stack(rows).astype(np.float32)


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, size in (("image", images.SIZE), ("audio", SIZE), ("text", 384)):
        kind = type(
            f"Stub{name}", (Stub,), {"__init__": lambda self, size=size: Stub.__init__(self, size)}
        )
        monkeypatch.setitem(space.BACKBONES, name, kind)
    monkeypatch.setattr(space, "_NAMES", {})  # of classes, by the true backbone
    make_trees(tmp_path)
    data = tmp_path / "data/paper"
    picture(data / "imagenet/train/n02/n02_1.JPEG", "blue")
    for id in ("eeeeeeeeeee", "fffffffffff"):
        sound(data / f"audioset/balanced_train/{id}_30.wav", seconds=1 + (id[0] == "f"))
    with (data / "audioset/balanced_train_segments.csv").open("a") as file:
        file.write(
            'eeeeeeeeeee, 30.000, 40.000, "/m/0bt9lr"\nfffffffffff, 30.000, 40.000, "/m/04"\n'
        )
    params = toy_project.toy_params(config.read(project_root() / "params.yaml"))
    params |= {"corpora": "paper", "spaces": "mini", "paper": PAPER}
    params["train"] |= {"steps": 2, "batch": 8, "hidden": 16}
    params["fit_spaces"] |= {"base_sources": ["imagenet"], "points_sources": ["imagenet"]}
    params["fit_spaces"]["points"]["looks"] = 0.0  # the pools are unpaired: no shape has an icon
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return Project(tmp_path)


def test_the_mini_spaces_are_fitted_on_labels_and_scored_on_the_benchmarks(project):
    for stage in ("corpora", "fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, stage)(project)
    results = pipeline.evaluate(project)
    expected = {"audio->image (ave)", "points->text (modelnet40)", "image->text (coco)"}
    assert expected <= set(results.task) and results["map"].between(0, 1).all()


@pytest.mark.parametrize(
    "key, value, message",
    [
        (
            "base_sources",
            ["emoji"],
            "fit_spaces.base_sources: no training images of emoji; corpora: paper has those of imagenet",
        ),
        (
            "points",
            {"looks": 1.0},
            "'mini-points' has no training pairs points-image: .*`looks: 0`",
        ),
    ],
)
def test_what_the_corpora_lack_is_one_line(project, key, value, message):
    params = config.read(project.root / "params.yaml")
    old = params["fit_spaces"][key]
    params["fit_spaces"][key] = old | value if isinstance(value, dict) else value
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    pipeline.corpora(project)
    with pytest.raises(ConfigError, match=message) as error:
        pipeline.fit_spaces(Project(project.root))
    assert "\n" not in str(error.value)
