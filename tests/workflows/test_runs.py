"""Runs that a user would try, from params.yaml to results: leaves, centers, samples, seeds."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import toy_spaces
import yaml
from toy_spaces import Toy

from exmcr import config, corpora, media, pipeline
from exmcr.commands.main import main
from exmcr.common.errors import ConfigError
from exmcr.media import Modality
from exmcr.model.exmcr import ExMCR
from exmcr.project import Project
from exmcr.spaces import SPACES
from exmcr.spaces.base import Space


def finish(project):
    """The remaining stages; returns the results."""
    config.check_names(project.params)
    for step in ("pair", "train"):
        getattr(pipeline, step)(project)
    return pipeline.evaluate(project)


def tasks_of(results, method="exmcr"):
    return set(results[results.method == method].task)


@pytest.mark.parametrize("kept, gone", [(0, "points"), (1, "audio")])
def test_one_leaf(start, kept, gone, capsys):
    project = start(change=lambda p: p.update(leaves=[p["leaves"][kept]]))
    results = finish(project)
    own = project.leaves[0].modality
    assert {f"{own}->image", f"image->{own}", "image->text"} <= tasks_of(results)
    assert not any(gone in task for task in results.task)
    assert (pd.read_csv(project.reports / "geometry.csv")["from"] != gone).all()
    for arguments in (["export", str(project.root / "out")], ["results"]):
        assert main([*arguments, "--project", str(project.root)]) == 0
    assert list(ExMCR.load(project.root / "out").leaves) == [own]


def smell(name, modalities):
    """A toy space of smells."""
    return type(name, (Toy,), {"name": name, "dim": 32, "modalities": modalities})


def test_three_leaves(start, monkeypatch, tmp_path):
    monkeypatch.setitem(media.MODALITIES, "smell", Modality(np.load, None, "#56B4E9", "P"))
    monkeypatch.setattr(toy_spaces, "Nose", smell("nose", ("smell", "text")), raising=False)
    monkeypatch.setitem(SPACES, "nose", "toy_spaces:Nose")

    def change(params):
        params["leaves"].append(
            {
                "name": "smell",
                "modality": "smell",
                "overlap": "text",
                "mini": "nose",
                "paper": "nose",
            }
        )
        params["encoders"]["nose"] = {"checkpoint": "nose.safetensors"}

    project = start(change=change)
    import torch
    from safetensors.torch import save_file

    save_file({"weight": torch.randn(32, 16)}, project.root / "nose.safetensors")
    items = project.items
    smells = items[items.modality == "audio"].copy()
    smells["id"] = smells["group"] = smells.id + "/smell"
    smells["modality"] = "smell"
    np.save(project.data / "smell.npy", np.arange(8.0))
    smells["path"] = "smell.npy"
    project.items_path.unlink()  # a link to that of the extracted project
    corpora.items.write(pd.concat([items, smells]), project.items_path)
    project = Project(project.root)
    pipeline.extract(project)
    assert {"audio->smell", "smell->points", "smell->image"} <= tasks_of(finish(project))
    assert ExMCR.from_project(project).modalities == ("text", "image", "audio", "points", "smell")


def test_two_leaves_of_one_modality_are_both_scored_under_their_own_names(
    start, monkeypatch, capsys
):
    class Louder(toy_spaces.Sounds):
        name, dim = "louder", 64

        def encode_batch(self, modality, items):
            return super().encode_batch(modality, [("other", item) for item in items])

    monkeypatch.setattr(toy_spaces, "Louder", Louder, raising=False)
    monkeypatch.setitem(SPACES, "louder", "toy_spaces:Louder")
    import torch
    from safetensors.torch import save_file

    def change(params):
        params["leaves"].insert(0, params["leaves"][0] | {"name": "loud", "paper": "louder"})
        params["encoders"]["louder"] = {"checkpoint": "louder.safetensors"}

    project = start(change=change)
    save_file({"weight": torch.randn(64, 16)}, project.root / "louder.safetensors")
    pipeline.extract(project)
    both = finish(project)
    for name, (kept, spaces) in {"loud": (0, "louder"), "audio": (1, "sounds")}.items():
        alone = start(
            name, lambda p: change(p) or p.update(leaves=[p["leaves"][kept], p["leaves"][2]])
        )
        (alone.root / "louder.safetensors").hardlink_to(project.root / "louder.safetensors")
        pipeline.extract(alone)
        expected = finish(alone)
        expected = expected[expected.task.str.contains("audio")].reset_index(drop=True)
        suffix = "" if name == "loud" else " [audio]"
        shown = both[both.task.isin(expected.task + suffix)].reset_index(drop=True)
        shown = shown.assign(task=shown.task.str.removesuffix(suffix))
        pd.testing.assert_frame_equal(shown, expected)
    assert not both.duplicated(["task", "concept_subset", "method", "seed"]).any()
    assert list(ExMCR.from_project(project).leaves) == ["loud", "points"]


SUBSETS = [c for n in (1, 2, 3) for c in combinations(("overlap", "leaf", "base"), n)]


def test_any_subset_of_centers(start):
    project = start()
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    for centers in map(list, SUBSETS):
        params["pair"]["centers"] = centers
        (project.root / "params.yaml").write_text(yaml.safe_dump(params))
        opened = Project(project.root)
        made = pipeline.pair(opened)
        assert set(made.center) == set(centers)
        assert {p.stem for p in project.pairs_path("audio").glob("*.safetensors")} == set(centers)
        assert len(pipeline.train(opened))
        ExMCR.from_project(opened)
    assert len(pipeline.evaluate(opened))


@pytest.mark.parametrize("sample", [1, 3, 24])
def test_any_sample_size(start, sample, capsys):
    project = start(change=lambda p: p.update(sample=sample), banks=False)
    project.items_path.unlink()
    corpora.build("toy", project.root, sample)
    project = Project(project.root)
    pipeline.extract(project)
    try:
        results = finish(project)
    except ConfigError as error:  # too few items for any task: said in one line
        assert sample < 3 and len(str(error).splitlines()) == 1, error
    else:
        assert len(results) and results["map"].between(0, 1).all()


def test_other_seeds_are_trained_and_scored_and_no_others(start):
    project = start(change=lambda p: p.update(seeds=[0, 3]))
    assert set(finish(project).query("method == 'exmcr'").seed) == {0, 3}
    params = yaml.safe_load((project.root / "params.yaml").read_text()) | {"seeds": [3]}
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    assert set(pipeline.evaluate(Project(project.root)).query("method == 'exmcr'").seed) == {3}


class Own(Space):
    """A space with the five members that docs/bring-your-own.md names, and nothing else."""

    name, dim, modalities, fingerprint = "own", 24, ("audio", "text"), "own, version 1"

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        seeds = [len(repr(item)) for item in items]
        return np.stack([np.random.default_rng(seed).normal(size=24) for seed in seeds])


def test_a_space_of_ones_own_with_the_documented_members(start, monkeypatch):
    monkeypatch.setitem(SPACES, "own", f"{__name__}:Own")

    def change(params):
        params["spaces"] = "mine"
        params["base"]["mine"] = "wide"
        params["leaves"][0]["mine"], params["leaves"][1]["mine"] = "own", "shapes"

    project = start(change=change)
    pipeline.fit_spaces(project)
    pipeline.extract(project)
    assert {"audio->image", "audio->points"} <= tasks_of(finish(project))
    from exmcr.spaces import loaded

    assert loaded.table(project).set_index("space").dim["own"] == 24
    model = ExMCR.load(ExMCR.from_project(project).save(project.root / "out"))
    assert model.encode({"audio": [(np.sin(np.arange(900.0)), 8000)]})["audio"].shape == (1, 768)


def test_an_experiment_without_its_projectors_is_refused_everywhere(start, capsys):
    """`dvc exp apply` restores params.yaml and results, and not the projectors."""
    project = start()
    finish(project)
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    params["train"]["tau2"] = 0.07
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    for command in (["evaluate"], ["export", "out"], ["search", "a dog"], ["downstream"]):
        capsys.readouterr()
        assert main([*command, "--project", str(project.root)]) == 2
        said = capsys.readouterr().err
        assert "was trained with other settings (train)" in said and "run `exmcr train`" in said
        assert len(said.splitlines()) == 1
    pipeline.train(Project(project.root))
    assert len(pipeline.evaluate(Project(project.root)))
