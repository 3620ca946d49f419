"""The stage `train` on a synthetic project: what it keeps, what it trains again, what it refuses."""

import json
import shutil

import forked
import numpy as np
import pytest
import synthetic
import torch
import yaml

from exmcr import config, pipeline
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.pairing import pairs
from exmcr.project import Project
from exmcr.training import objectives, projectors, stage

SHORT = {"steps": 4, "batch": 64, "hidden": 16, "leaves": {"audio": {"steps": 6, "tau2": 0.1}}}
EVERY = [("audio", 0), ("audio", 1), ("points", 0), ("points", 1)]


def change(project, **blocks):
    """Edit params.yaml, block by block, and open the project again."""
    path = project.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for name, values in blocks.items():
        params[name] = params[name] | values if isinstance(values, dict) else values
    path.write_text(yaml.safe_dump(params))
    return Project(project.root)


@pytest.fixture
def project(tmp_path):
    project = change(synthetic.project(tmp_path), train=SHORT)
    pipeline.pair(project)
    return project


@pytest.fixture
def runs(monkeypatch):
    """(leaf, seed) of every training run."""
    calls, fit = [], stage.fit_projector

    def watched(pool, settings, seed, **options):
        calls.append((options["checkpoint"].name.split("-")[0], seed))
        return fit(pool, settings, seed, **options)

    monkeypatch.setattr(stage, "fit_projector", watched)
    return calls


def files(project):
    folder = project.root / "models/projectors"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_leaf_and_seed_gets_a_projector_and_a_note(project, runs):
    losses = pipeline.train(project)
    assert runs == EVERY
    assert set(files(project)) == {
        f"{leaf}-seed{seed}{suffix}" for leaf, seed in EVERY for suffix in (".safetensors", ".json")
    }
    path = project.projector_path("audio", 1)
    note = json.loads(path.with_suffix(".json").read_text())
    assert note["sha256"] == sha256(path)
    assert (note["leaf"], note["modality"], note["seed"]) == ("audio", "audio", 1)
    assert (note["leaf_space"], note["base_space"]) == ("mini-audio-text", "mini-image-text")
    assert note["leaf_fingerprint"] == note["base_fingerprint"] == "synthetic"
    assert note["pair"] == project.params.pair_settings()
    assert note["train"]["steps"] == 6 and note["train"]["tau2"] == 0.1
    mine = losses[(losses.leaf == "audio") & (losses.seed == 1)]
    assert note["losses"] == mine.drop(columns=["leaf", "seed"]).to_dict("records")
    assert mine.steps.sum() == 6
    assert (project.reports / "losses.csv").is_file()


def test_a_second_run_trains_nothing_and_reports_the_same_losses(project, runs):
    first, before = pipeline.train(project), files(project)
    table = (project.reports / "losses.csv").read_bytes()
    runs.clear()
    again = pipeline.train(Project(project.root))
    assert not runs and files(project) == before
    assert again.equals(first)
    assert (project.reports / "losses.csv").read_bytes() == table


def test_a_setting_of_one_leaf_trains_only_that_leaf_again(project, runs):
    pipeline.train(project)
    before = files(project)
    runs.clear()
    leaves = {"audio": {"steps": 6, "tau2": 0.2}}
    pipeline.train(change(project, train=SHORT | {"leaves": leaves}))
    assert runs == EVERY[:2]
    after = files(project)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {name for name in before if name.startswith("audio")}


def test_a_setting_of_all_leaves_trains_everything_again(project, runs):
    pipeline.train(project)
    runs.clear()
    pipeline.train(change(project, train={"lambda": 0.5}))
    assert runs == EVERY


def test_another_seed_trains_only_its_projectors(project, runs):
    pipeline.train(project)
    runs.clear()
    losses = pipeline.train(change(project, seeds=[0, 1, 5]))
    assert runs == [("audio", 5), ("points", 5)]
    assert set(losses.seed) == {0, 1, 5}


def test_pairs_of_the_same_content_train_nothing_and_other_pairs_their_leaf(project, runs):
    pipeline.train(project)
    runs.clear()
    pipeline.pair(project)
    pipeline.train(project)
    assert not runs
    folder = project.bank_path("mini-points", "points", "train")
    vectors = np.load(folder / "vectors.npy")
    np.save(folder / "vectors.npy", vectors[::-1])
    manifest = {"fingerprint": "synthetic", "sha256": sha256(folder / "vectors.npy")}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match=r"other inputs \(mini-points/points\); run `exmcr pair`"):
        pipeline.train(project)
    pipeline.pair(project)
    pipeline.train(project)
    assert runs == EVERY[2:]


def test_another_tau1_trains_everything_again(project, runs):
    pipeline.train(project)
    runs.clear()
    project = change(project, pair={"tau1": 0.1})
    pipeline.pair(project)
    pipeline.train(project)
    assert runs == EVERY


def test_edited_code_trains_everything_again(project, runs, monkeypatch):
    pipeline.train(project)
    runs.clear()
    monkeypatch.setattr(stage, "code_digest", lambda *folders: "edited")
    pipeline.train(project)
    assert runs == EVERY


DAMAGE = {
    "a truncated projector": ("safetensors", lambda content: content[:100]),
    "one flipped bit": ("safetensors", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
    "no projector": ("safetensors", lambda content: None),
    "a truncated note": ("json", lambda content: content[:50]),
    "a note without losses": (
        "json",
        lambda content: json.dumps({**json.loads(content), "losses": None}).encode(),
    ),
    "a note that is a list": ("json", lambda content: b"[1]"),
    "no note": ("json", lambda content: None),
    "a note with another loss": (
        "json",
        lambda content: content.replace(b'"total": ', b'"total": 1'),
    ),
    "a note with a flipped bit": ("json", lambda content: content[:40] + b"\x61" + content[41:]),
    "the note of an older version": ("json", lambda content: older(content)),
}


def older(content):
    """Without its digest."""
    note = json.loads(content)
    del note["digest"]
    return json.dumps(note, indent=1).encode()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_again_as_it_was(project, runs, damage):
    first, before = pipeline.train(project), files(project)
    runs.clear()
    suffix, edit = DAMAGE[damage]
    path = project.projector_path("points", 0).with_suffix(f".{suffix}")
    content = edit(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    again = pipeline.train(project)
    assert runs == [("points", 0)]
    assert files(project) == before and again.equals(first)


def test_an_interrupted_run_keeps_what_is_done_and_leaves_no_checkpoint(project, runs, monkeypatch):
    whole = pipeline.train(project), files(project)
    for path in (project.root / "models/projectors").iterdir():
        path.unlink()
    runs.clear()
    with monkeypatch.context() as patched:
        save = projectors.save

        def interrupted(projector, path):
            if path == project.projector_path("audio", 1):
                raise KeyboardInterrupt
            save(projector, path)

        patched.setattr(projectors, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pipeline.train(project)
    assert set(files(project)) == {
        "audio-seed0.safetensors",
        "audio-seed0.json",
        "audio-seed1.ckpt",
    }
    runs.clear()
    losses = pipeline.train(project)
    assert runs == EVERY[1:]
    assert losses.equals(whole[0]) and files(project) == whole[1]


def test_the_stored_projector_is_the_trained_one_in_eval_mode(project):
    pipeline.train(project)
    audio = project.params.leaf("audio")
    projector = stage.trained(project, audio, 1)
    assert not projector.training and projector.hidden == 16
    direct = projectors.load(project.projector_path("audio", 1))
    x = torch.randn(3, 16)
    with torch.no_grad():
        assert np.array_equal(projector(x), direct(x))


@pytest.mark.parametrize(
    "blocks, message",
    [
        ({"train": {"lr": 0.5}}, r"was trained with other settings \(train\)"),
        ({"pair": {"tau1": 0.3}}, r"was trained with other settings \(pair\)"),
        (
            {"pair": {"centers": ["leaf"]}, "train": {"noise": 0.1}},
            r"was trained with other settings \(pair, train\)",
        ),
    ],
)
def test_a_projector_of_other_settings_is_refused_in_one_line(project, blocks, message):
    pipeline.train(project)
    project = change(project, **blocks)
    with pytest.raises(ConfigError, match=message) as error:
        stage.trained(project, project.params.leaf("audio"), 0)
    line = str(error.value)
    assert "\n" not in line and "audio-seed0.safetensors" in line
    assert line.endswith("run `exmcr train` again")


def test_settings_of_another_leaf_do_not_matter(project):
    pipeline.train(project)
    project = change(project, train=SHORT | {"leaves": {"audio": {"steps": 5}}})
    stage.trained(project, project.params.leaf("points"), 0)
    with pytest.raises(ConfigError, match="other settings"):
        stage.trained(project, project.params.leaf("audio"), 0)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_projector_or_note_is_refused_in_one_line(project, damage):
    pipeline.train(project)
    suffix, edit = DAMAGE[damage]
    path = project.projector_path("points", 0).with_suffix(f".{suffix}")
    content = edit(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match="points-seed0.safetensors") as error:
        stage.trained(project, project.params.leaf("points"), 0)
    assert "\n" not in str(error.value)


def test_an_exchanged_projector_is_refused(project):
    pipeline.train(project)
    path, other = (project.projector_path("points", seed) for seed in (0, 1))
    path.write_bytes(other.read_bytes())
    with pytest.raises(ConfigError, match="is not the file that points-seed0.json describes"):
        stage.trained(project, project.params.leaf("points"), 0)


def test_params_and_code_know_the_same_terms():
    assert config.TERMS == objectives.TERMS


def test_a_projector_of_other_pseudo_pairs_is_refused(project):
    pipeline.train(project)
    folder = project.pairs_path("points")
    centers = list(project.params.pair.centers)
    pairs.build(project.pools(project.params.leaf("points")), folder, centers, 0.3)
    with pytest.raises(ConfigError, match="points-seed0.safetensors was trained on other pseudo-p"):
        stage.trained(project, project.params.leaf("points"), 0)
    stage.trained(project, project.params.leaf("audio"), 0)
    shutil.rmtree(folder)
    stage.trained(project, project.params.leaf("points"), 0)


def test_a_projector_is_opened_without_banks_and_pairs_and_its_note_comes_along(project):
    pipeline.train(project)
    for name in ("banks", "pairs"):
        shutil.rmtree(project.root / name)
    _, note = stage.checked(project, project.params.leaf("audio"), 1)
    assert note["seed"] == 1 and note["leaf_fingerprint"] == "synthetic" and note["pairs"]


def test_damaged_pairs_stop_training_in_one_line_and_pair_makes_them_again(project):
    pipeline.train(project)
    before = forked.tree(project.root)
    for name in ("audio/leaf.safetensors", "points/manifest.json"):
        forked.flip(project.root / "pairs" / name, 3001)
        with pytest.raises(ConfigError, match=f"{name} .*run `exmcr pair`") as error:
            pipeline.train(project)
        assert "\n" not in str(error.value)
        pipeline.pair(project)
        pipeline.train(project)
        assert forked.tree(project.root) == before


def test_a_damaged_checkpoint_starts_the_training_again(project, runs, monkeypatch, capsys):
    whole = pipeline.train(project), files(project)
    path = project.projector_path("audio", 0)
    for damage in (lambda c: c[:200], lambda c: b"", lambda c: c[:-9] + b"x" + c[-8:]):
        path.unlink()
        with monkeypatch.context() as patched:
            patched.setattr(projectors, "save", interrupt)
            with pytest.raises(KeyboardInterrupt):
                pipeline.train(project)
        checkpoint = path.with_suffix(".ckpt")
        checkpoint.write_bytes(damage(checkpoint.read_bytes()))
        again = pipeline.train(project)
        assert again.equals(whole[0]) and files(project) == whole[1]
        assert "audio-seed0.ckpt is damaged; training starts again" in capsys.readouterr().out


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.fixture
def one_thread():
    """Forked children may not use the threads of their parent."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_training_that_is_killed_at_any_moment_ends_with_the_same_projectors(project, one_thread):
    pipeline.train(project)
    whole = forked.tree(project.root)
    models = project.root / "models"
    statuses = forked.kill_at_random(
        lambda: pipeline.train(project), lambda: shutil.rmtree(models, ignore_errors=True), 4
    )
    assert any(statuses)
    pipeline.train(project)
    assert forked.tree(project.root) == whole


def test_trainings_at_once_make_the_same_projectors(project, one_thread):
    pipeline.train(project)
    whole = forked.tree(project.root)
    shutil.rmtree(project.root / "models")
    children = [forked.start(lambda: pipeline.train(project)) for _ in range(2)]
    assert [forked.result(pid) for pid in children] == [0, 0]
    assert forked.tree(project.root) == whole


def test_a_projector_of_centered_pairs_takes_vectors_as_they_are(project, tmp_path):
    """It is the one that the method `exmcr` fits with the same settings."""
    from exmcr.methods import exmcr

    project = change(project, pair={"subtract_mean": True})
    pipeline.pair(project)
    pipeline.train(project)
    pools = project.pools(project.params.leaf("points"))
    settings = exmcr.exmcr_settings(project.params, "points")
    expected = exmcr.fit(pools, 1, **settings).leaf(pools.x_leaf)
    stored = stage.trained(project, project.params.leaf("points"), 1)
    with torch.no_grad():
        got = stored(torch.from_numpy(pools.x_leaf)).numpy()
    assert np.allclose(got, expected, atol=1e-5)
    plain = exmcr.fit(pools, 1, **settings | {"pair": settings["pair"] | {"subtract_mean": False}})
    assert not np.allclose(got, plain.leaf(pools.x_leaf), atol=1e-2)


def test_centered_pairs_need_a_linear_f_l(project):
    with pytest.raises(ConfigError, match="pair.subtract_mean: needs train.depth_intra: linear"):
        change(project, pair={"subtract_mean": True}, train={"depth_intra": 0}).params
