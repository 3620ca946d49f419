"""The mini spaces of a project on a part of the toy corpus: trained once, kept, and trained again only if something changed."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from exmcr import config, pipeline, toy_project
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.common.paths import project_root
from exmcr.corpora import toy
from exmcr.corpora.made import record_table
from exmcr.project import Project
from exmcr.spaces import load_space, loaded
from exmcr.spaces.mini import TRAINED_HERE, stage
from exmcr.spaces.mini.fit import overlap_of_training_items
from exmcr.spaces.mini.space import MiniSpace

AUDIO, IMAGE, POINTS = "mini-audio-text", "mini-image-text", "mini-points"
DEFAULT = [name for name in TRAINED_HERE if name != "mini-speech-text"]


def rewrite(items, path):
    """Another item table, as the stage `corpora` would have recorded it."""
    items.to_parquet(path)
    record_table(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project of two things in eight colors after the stage, and the losses that it returned."""
    root = tmp_path_factory.mktemp("made")
    params = toy_project.toy_params(config.read(project_root() / "params.yaml"))
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    path = toy.build(root)
    items = pd.read_parquet(path)
    rewrite(items[items.concept.isin(["ball", "box"])], path)
    losses = pipeline.fit_spaces(Project(root))
    yield root, losses
    shutil.rmtree(root)


@pytest.fixture
def project(made, tmp_path):
    """A copy of the project, which a test may change."""
    shutil.copytree(made[0], tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.fixture
def trained(monkeypatch):
    """A list to which each training adds the name of its space."""
    names, fit = [], MiniSpace.fit
    monkeypatch.setattr(
        MiniSpace, "fit", lambda self, *a, **k: names.append(self.name) or fit(self, *a, **k)
    )
    return names


def weights(root) -> dict:
    return {name: sha256(root / f"models/spaces/{name}.safetensors") for name in DEFAULT}


def test_the_stage_trains_every_space_and_records_it(made):
    root, losses = made
    assert list(losses.columns) == ["space", "step", "pair", "loss"]
    pairs = losses.groupby("space").pair.unique().map(set).to_dict()
    assert pairs == {
        IMAGE: {"image-text"},
        AUDIO: {"audio-text"},
        POINTS: {"points-text", "image-text"},
    }
    steps = losses.pivot(index=["space", "pair"], columns="step", values="loss")
    assert set(steps.columns) == {"names", "fitted"} and np.isfinite(losses.loss).all()
    assert (steps.fitted < steps.names).all()
    table = loaded.table(Project(root)).set_index("space")
    for name, hash in weights(root).items():
        space = load_space(name, root=root)
        assert (
            table.loc[name, "sha256"] == hash[:12] and table.loc[name, "license"] == "trained here"
        )
        assert table.loc[name, "fingerprint"] == space.fingerprint[:12]


def test_trained_spaces_encode_each_modality_on_the_unit_sphere(made):
    root, _ = made
    items = Project(root).items
    for name in DEFAULT:
        space = load_space(name, root=root)
        for modality in space.modalities:
            rows = items[items.modality == modality].head(3)
            raw = rows.caption if modality == "text" else root / "data" / rows.path
            vectors = space.encode(modality, list(raw))
            assert vectors.shape == (3, 512)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
            np.testing.assert_allclose(
                vectors[:1], space.encode(modality, list(raw)[:1]), atol=1e-5
            )


def test_a_second_call_trains_nothing_and_returns_the_same_losses(made, project, trained):
    again = pipeline.fit_spaces(project)
    assert trained == []
    pd.testing.assert_frame_equal(again, made[1])
    assert weights(project.root) == weights(made[0])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"audio_text": {"ridge": 0.5}}, [AUDIO]),
        ({"points": {"seed": 1}}, [POINTS]),
        ({"base_sources": ["toy", "more"]}, [IMAGE]),
        ({"points_sources": ["toy", "more"]}, [POINTS]),
    ],
)
def test_another_setting_trains_again_exactly_the_space_it_concerns(
    made, project, trained, change, expected
):
    params = config.read(project.root / "params.yaml")
    params["sample"] = 99  # a sample may lack a source
    for key, value in change.items():
        old = params["fit_spaces"][key]
        params["fit_spaces"][key] = old | value if isinstance(value, dict) else value
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    losses = stage.fit_spaces(Project(project.root))
    assert trained == expected
    kept = ~losses.space.isin(expected)
    pd.testing.assert_frame_equal(losses[kept], made[1][kept])


def test_items_without_a_caption_are_not_trained_on(made, project, trained):
    """They fill the pools only. Neither they nor texts that describe nothing change the weights."""
    items = project.items
    extra = items[items.split == "train"].assign(
        id=lambda t: "pool/" + t.id,
        group=lambda t: "pool/" + t.group,
        caption="",
        concept="",
        of="",
    )
    extra["captions"] = [[""]] * len(extra)
    extra = extra[extra.modality != "text"]
    words = (
        items[items.modality == "text"]
        .tail(3)
        .assign(id=lambda t: "pool/" + t.id, caption="a comet")
    )
    rewrite(pd.concat([items, extra, words]), project.items_path)
    stage.fit_spaces(Project(project.root))
    assert trained == project.spaces and weights(project.root) == weights(made[0])


def test_another_item_table_trains_every_space_again(project, trained):
    items = project.items.copy()
    items.loc[items.modality == "text", "caption"] += "!"
    rewrite(items, project.items_path)
    stage.fit_spaces(Project(project.root))
    assert trained == project.spaces


def test_other_code_trains_every_space_again_to_the_same_weights(
    made, project, trained, monkeypatch
):
    monkeypatch.setattr(stage, "code_digest", lambda *folders: "edited")
    pd.testing.assert_frame_equal(stage.fit_spaces(project), made[1])
    assert trained == project.spaces and weights(project.root) == weights(made[0])


def flip_last_byte(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("file", [f"{AUDIO}.safetensors", f"{AUDIO}.json", f"{AUDIO}-losses.json"])
@pytest.mark.parametrize("damage", [flip_last_byte, lambda path: path.unlink()])
def test_a_damaged_or_missing_file_trains_exactly_its_space_again(
    made, project, trained, file, damage
):
    path = project.root / "models/spaces" / file
    original = path.read_bytes()
    damage(path)
    pd.testing.assert_frame_equal(stage.fit_spaces(project), made[1])
    assert trained == [AUDIO] and path.read_bytes() == original


def test_an_interrupted_training_leaves_the_old_files_and_trains_again(
    project, trained, monkeypatch
):
    before = weights(project.root)
    monkeypatch.setattr(stage, "code_digest", lambda *folders: "edited")
    with monkeypatch.context() as patch:
        patch.setattr("exmcr.spaces.mini.space.save_file", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stage.fit_spaces(project)
    assert weights(project.root) == before
    assert not list((project.root / "models/spaces").glob("*.part"))
    stage.fit_spaces(project)
    assert trained == [project.spaces[0], *project.spaces]


def test_missing_and_damaged_weights_are_errors_that_say_what_to_do(project):
    path = project.root / "models/spaces" / f"{POINTS}.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="damaged; run `exmcr spaces` again"):
        load_space(POINTS, root=project.root)
    path.with_suffix(".json").write_text(json.dumps({"hidden": 8}))
    with pytest.raises(ConfigError, match="damaged; run `exmcr spaces` again"):
        load_space(POINTS, root=project.root)
    path.unlink()
    with pytest.raises(
        ConfigError, match="not trained yet .*points.safetensors is missing.*exmcr spaces"
    ):
        load_space(POINTS, root=project.root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda items: items[items.modality != "audio"], f"'{AUDIO}' has no usable training items"),
        (lambda items: items.assign(path="none.wav"), f"'{IMAGE}' has no usable training items"),
        (lambda items: items.assign(of=""), f"'{POINTS}' has no training pairs points-image"),
        (
            lambda items: items.assign(
                caption="ball", captions=[["ball"]] * len(items), concept="ball"
            ),
            f"'{IMAGE}' has 1 distinct training text",
        ),
    ],
)
def test_a_space_without_training_items_or_pairs_is_an_error(project, change, message):
    rewrite(change(project.items), project.items_path)
    with pytest.raises(ConfigError, match=message):
        stage.fit_spaces(Project(project.root))


@pytest.mark.parametrize("sample", [None, 99])
@pytest.mark.parametrize("key", ["base_sources", "points_sources"])
@pytest.mark.parametrize("sources", [["toys"], ["toy", "emojis"]])
def test_an_unknown_source_is_one_line_that_lists_the_known_ones(
    made, project, key, sources, sample, capsys
):
    params = config.read(project.root / "params.yaml") | {"sample": sample}
    params["fit_spaces"][key] = sources
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    message = (
        f"fit_spaces.{key}: no training images of {sources[-1]}; corpora: toy has those of toy$"
    )
    if sample and len(sources) == 2:
        stage._check_sources(Project(project.root))
        assert f"fit_spaces.{key}: the sample has no images of emojis" in capsys.readouterr().out
        return
    with pytest.raises(ConfigError, match=message) as error:
        pipeline.fit_spaces(Project(project.root))
    assert "\n" not in str(error.value)
    assert weights(project.root) == weights(made[0])


def test_the_overlap_of_training_items_counts_shared_items(project):
    table = overlap_of_training_items(project.items, project.params.fit_spaces.model_dump())
    train = project.items[project.items.split == "train"].modality.value_counts()
    assert list(table.index) == list(table.columns) == [IMAGE, AUDIO, POINTS]
    assert table.loc[IMAGE, IMAGE] == train["image"] == table.loc[IMAGE, POINTS]
    assert table.loc[AUDIO, AUDIO] == train["audio"] and table.loc[AUDIO, POINTS] == 0
    assert table.loc[POINTS, POINTS] == train["points"] + train["image"]
