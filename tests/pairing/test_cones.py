"""Pools in cones are measured, and training with noise on them warns in one line."""

import re

import numpy as np
import pytest
import yaml

from exmcr import pipeline
from exmcr.pairing import cones, pairs
from exmcr.pairing.pools import PARTS, Pools
from exmcr.project import Project


def cone(rng, n, d, gap):
    rows = rng.normal(size=(n, d)) / np.sqrt(d)
    rows[:, 0] += gap
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def pools(gap):
    rng = np.random.default_rng(0)
    rows = [cone(rng, n, d, gap) for n, d in ((300, 64), (400, 64), (400, 48), (500, 48))]
    return Pools(*rows)


@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0, 1.5, 3.0])
def test_the_norm_of_the_mean_grows_with_the_gap(gap):
    for part, norm in cones.mean_norms(pools(gap)).items():
        assert part in PARTS and norm == pytest.approx(gap / np.hypot(1, gap), abs=0.07)


@pytest.mark.parametrize(
    "norms, noise, named",
    [
        ({"x_leaf": 0.44, "y_base": 0.69}, 0.004, None),
        ({"x_leaf": 0.44, "y_base": 0.82}, 0.004, r"\(norm of the mean: y_base 0.82\)"),
        ({"x_leaf": 0.9, "y_base": 0.82}, 0.002, "x_leaf 0.90, y_base 0.82"),
        ({"x_leaf": 0.9, "y_base": 0.82}, 0, None),
        ({}, 0.004, None),  # pairs of an older version
    ],
)
def test_strong_cones_and_noise_together_are_warned_about(norms, noise, named):
    warning = cones.cone_warning("audio", norms, noise)
    if named is None:
        assert warning is None
    else:
        assert "\n" not in warning and "train.leaves.audio.noise: 0" in warning
        assert re.search(named, warning)


def test_norms_are_recorded_beside_the_pairs(tmp_path):
    pairs.build(pools(1.5), tmp_path, ["overlap"], 0.1)
    assert pairs.recorded_norms(tmp_path) == cones.mean_norms(pools(1.5))


def test_the_stage_warns_of_the_leaf_that_has_noise(tmp_path, monkeypatch, capsys):
    import synthetic

    project = synthetic.project(tmp_path)
    pipeline.pair(project)
    monkeypatch.setattr(cones, "STRONG", 0.0)
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    params["train"]["leaves"] = {"audio": {"noise": 0.0}}
    params["compare"] = {}
    params["train"] |= {"steps": 1, "batch": 8, "hidden": 16}
    params["seeds"] = [0]
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    capsys.readouterr()
    pipeline.train(Project(project.root))
    said = [line for line in capsys.readouterr().out.splitlines() if "lie in cones" in line]
    assert len(said) == 1 and said[0].startswith("leaf 'points'")
