"""An index of a user's own folder: what is embedded, when, and which model it belongs to."""

import os
import time

import numpy as np
import pytest
import stub_model
from stub_model import fill, picture, shape, sound
from tiny_video import grays, video

from exmcr.common.errors import ConfigError
from exmcr.common.files import read_note
from exmcr.index import build as building
from exmcr.index import ivfpq, storage
from exmcr.index.build import build
from exmcr.index.source import open_model
from exmcr.index.storage import FOLDER, Index
from exmcr.media import videos
from exmcr.model.identity import fingerprint


@pytest.fixture
def stubs(monkeypatch):
    return stub_model.use(monkeypatch)


@pytest.fixture
def model(stubs):
    return stub_model.stub_model()


@pytest.fixture
def mine(tmp_path):
    return fill(tmp_path / "mine")


def make(folder, model, **more):
    return build(folder, model, "model", progress=False, **more)


def test_every_usable_file_is_indexed_and_the_others_are_named(mine, model):
    report = make(mine, model)
    assert report.items == {"text": 2, "image": 2, "audio": 2, "points": 2}
    assert report.new == report.items
    ((path, reason),) = report.skipped
    assert path == "broken.png" and "unreadable image" in reason
    assert report.others == {".pdf": 1}


def test_a_search_returns_what_the_model_encodes_nearest_first(mine, model):
    make(mine, model)
    index = Index(mine)
    vectors = model.encode({"audio": [mine / "bell.wav", mine / "dog/0001.wav"]})["audio"]
    found = index.nearest(vectors[:1], "audio", 5)
    assert found.path.tolist() == ["bell.wav", "dog/0001.wav"]
    assert found.caption.tolist() == ["a bell, ringing", "dog"]
    np.testing.assert_allclose(found.score, vectors @ vectors[0], atol=1e-6)
    assert index.nearest(vectors[:1], "text", 1).id.str.startswith("captions.txt:").all()
    with pytest.raises(ConfigError, match="has no speech, only text, image, audio, points"):
        index.nearest(vectors[:1], "speech")


def counts(stubs):
    return {name: stub.encoded for name, stub in stubs.items()}


def test_unchanged_files_are_not_embedded_again(mine, model, stubs):
    make(mine, model)
    before = counts(stubs)
    assert before == {"base": 4, "ears": 2, "hands": 2}
    assert not sum(make(mine, model).new.values())
    assert counts(stubs) == before


def test_new_changed_moved_touched_and_deleted_files(mine, model, stubs):
    make(mine, model)
    before = counts(stubs)
    picture(mine / "new.png", (1, 2, 3))
    sound(mine / "bell.wav", 700)  # changed
    (mine / "lamp.npy").rename(mine / "torch.npy")
    os.utime(mine / "sub/sea.jpg", (time.time(), time.time()))
    (mine / "red_car-01.png").unlink()
    report = make(mine, model)
    assert dict(report.new) == {"text": 0, "image": 1, "audio": 1, "points": 0}
    assert counts(stubs) == {**before, "base": before["base"] + 1, "ears": before["ears"] + 1}
    index = Index(mine)
    assert sorted(index.parts["image"].table.path) == ["new.png", "sub/sea.jpg"]
    assert sorted(index.parts["points"].table.path) == ["chair.npy", "torch.npy"]
    anew = building.build(mine, model, "model", place=mine.parent / "anew", progress=False)
    assert anew.items == report.items
    for name, part in Index(mine.parent / "anew").parts.items():
        np.testing.assert_allclose(part.vectors, index.parts[name].vectors, atol=1e-6)


def test_an_unusable_file_is_not_tried_again_until_it_changes(mine, model, stubs, monkeypatch):
    make(mine, model)
    tried = []
    encode = type(model).encode
    monkeypatch.setattr(
        type(model),
        "encode",
        lambda self, items, **o: tried.append(items) or encode(self, items, **o),
    )
    assert [path for path, _ in make(mine, model).skipped] == ["broken.png"] and not tried
    picture(mine / "broken.png", (9, 9, 9))
    assert make(mine, model).skipped == [] and len(tried) == 1


def test_a_video_is_embedded_once_its_decoder_is_installed(mine, model, stubs, monkeypatch):
    video(mine / "wave.mp4", grays([40, 80, 120]))
    with monkeypatch.context() as patch:
        patch.setattr(videos, "available", lambda: False)
        assert ("wave.mp4", videos.MISSING) in make(mine, model).skipped
    report = make(mine, model)
    assert report.new["image"] == 1 and "wave.mp4" not in dict(report.skipped)
    own = Index(mine).parts["image"]
    at = own.table.path.tolist().index("wave.mp4")
    expected = stubs["base"].encode("image", [mine / "wave.mp4"])[0]
    np.testing.assert_allclose(own.vectors[at], expected, atol=1e-6)
    assert not make(mine, model).new["image"]


def test_copies_of_a_file_are_embedded_once(mine, model, stubs):
    (mine / "copy.npy").write_bytes((mine / "lamp.npy").read_bytes())
    assert make(mine, model).items["points"] == 3 and stubs["hands"].encoded == 2
    part = Index(mine).parts["points"]
    same = part.vectors[part.table.path.isin(["copy.npy", "lamp.npy"]).to_numpy()]
    np.testing.assert_array_equal(same[0], same[1])


def test_a_new_caption_costs_no_encoding(mine, model, stubs):
    make(mine, model)
    before = counts(stubs)
    (mine / "lamp.txt").write_text("a bright lamp")
    make(mine, model)
    assert "a bright lamp" in set(Index(mine).parts["points"].table.caption)
    assert counts(stubs) == before


def test_a_moved_folder_takes_its_index_along(mine, model, tmp_path):
    make(mine, model)
    mine.rename(tmp_path / "moved")
    assert Index(tmp_path / "moved").root == tmp_path / "moved"


def test_an_index_elsewhere_knows_its_folder(mine, model, tmp_path):
    make(mine, model, place=tmp_path / "index")
    assert Index(tmp_path / "index").root == mine.resolve() and not (mine / FOLDER).exists()


def test_an_index_of_another_model_is_one_line(mine, model):
    make(mine, model)
    other = stub_model.stub_model(seed=1)
    for attempt in (
        lambda: build(mine, other, "other", progress=False),
        lambda: Index(mine).check(fingerprint(other), "other"),
        lambda: make(mine, model, seed=5),
    ):
        with pytest.raises(
            ConfigError, match=r"belongs to the model model \(fingerprint"
        ) as caught:
            attempt()
        assert "--rebuild" in str(caught.value) and "\n" not in str(caught.value)
    build(mine, other, "other", rebuild=True, progress=False)
    Index(mine).check(fingerprint(other), "other")


def test_a_modality_that_the_model_lacks_is_left_out_and_counted(mine, stubs):
    report = make(mine, stub_model.stub_model(leaves=("audio",)))
    assert report.others == {".pdf": 1, "points": 2} and "points" not in report.items


def test_a_folder_without_a_usable_file_is_one_line(tmp_path, model):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"no file of .* can be used: a\.png: unreadable image"):
        make(tmp_path, model)
    assert not (tmp_path / FOLDER / storage.INDEX_NOTE).exists()
    shape(tmp_path / "b/a.npy")
    with pytest.raises(ConfigError, match="the model has none of their modalities"):
        make(tmp_path / "b", stub_model.stub_model(leaves=()))


def test_an_interrupted_run_keeps_what_it_embedded(mine, model, stubs, monkeypatch):
    encode = stubs["ears"].encode_batch

    def interrupt(modality, items):
        raise KeyboardInterrupt

    monkeypatch.setattr(stubs["ears"], "encode_batch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(mine, model)
    assert set(Index(mine).parts) == {"text", "image"}
    monkeypatch.setattr(stubs["ears"], "encode_batch", encode)
    assert dict(make(mine, model).new) == {"text": 0, "image": 0, "audio": 2, "points": 2}


def test_long_runs_store_what_they_have_from_time_to_time(mine, model, monkeypatch):
    monkeypatch.setattr(building, "CHUNK", 1)
    monkeypatch.setattr(building, "PAUSE", 0.0)
    written = []
    write = building.write
    monkeypatch.setattr(building, "write", lambda *a: written.append(dict(a[3])) or write(*a))
    make(mine, model)
    assert len(written) == 10 and list(written[0]) == ["text"] and len(written[-1]) == 4


@pytest.mark.parametrize("suffix", ["npy", "parquet", "json"])
def test_one_bit_flipped_in_an_index_is_found(mine, model, suffix):
    make(mine, model)
    path = next((mine / FOLDER).glob(f"*.{suffix}"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="rebuild"):
        Index(mine)


def test_an_index_of_another_version_is_one_line(mine, model):
    make(mine, model)
    note = mine / FOLDER / storage.INDEX_NOTE
    content = read_note(note) | {"format": "exmcr index 9"}
    storage.write_note(note, content)
    with pytest.raises(ConfigError, match="'exmcr index 9', this version reads 'exmcr index 1'"):
        Index(mine)


def test_files_of_earlier_versions_are_deleted(mine, model):
    make(mine, model)
    picture(mine / "new.png", (4, 5, 6))
    make(mine, model)
    assert len(list((mine / FOLDER).glob("image-*.npy"))) == 1
    assert not (mine / FOLDER / ".lock").exists()


def test_no_index_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="`exmcr index .*` makes one"):
        Index(tmp_path)


def test_an_unknown_kind_is_an_error(mine, model):
    with pytest.raises(ConfigError, match="unknown kind of index 'hnsw'; known: exact, ivfpq"):
        make(mine, model, kind="hnsw")


# FAISS


def rows(n, dim=16, seed=0):
    """Unit rows in clusters, as embeddings have them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, dim))[rng.integers(40, size=n)] + 0.3 * rng.normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_ivfpq_finds_nearly_the_exact_neighbors_with_exact_scores(tmp_path, monkeypatch):
    pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    monkeypatch.setattr(ivfpq, "FEWEST", 1000)
    vectors = rows(3000)
    ivfpq.write(tmp_path / "a.faiss", vectors)
    queries = rows(20, seed=1)
    top = ivfpq.search(tmp_path / "a.faiss", vectors, queries, 10)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(top.indices, exact)])
    assert recall > 0.9
    np.testing.assert_allclose(
        top.scores, np.take_along_axis(queries @ vectors.T, top.indices, 1), atol=1e-6
    )
    assert (np.diff(top.scores, axis=1) <= 0).all()
    everything = ivfpq.search(tmp_path / "a.faiss", vectors, queries[:1], 3000)
    assert sorted(everything.indices[0]) == list(range(3000))


def test_a_large_folder_gets_an_approximate_index_and_a_small_one_does_not(
    mine, model, monkeypatch
):
    pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    make(mine, model, kind="ivfpq")
    assert all(part.ivfpq is None for part in Index(mine).parts.values())
    monkeypatch.setattr(storage.ivfpq, "FEWEST", 2)
    written = []
    monkeypatch.setattr(
        storage.ivfpq, "write", lambda path, v: written.append(path.write_bytes(b"x"))
    )
    make(mine, model, kind="ivfpq")
    assert len(written) == 4 and all(part.ivfpq for part in Index(mine).parts.values())


@pytest.mark.parametrize("installed", [True, False])
def test_exact_search_is_the_same_with_and_without_faiss(monkeypatch, installed):
    if installed:
        pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    else:
        monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    vectors, queries = rows(500), rows(3, seed=1)
    small = ivfpq.exact(vectors, queries, 7)
    monkeypatch.setattr(ivfpq, "LARGE", 100)
    large = ivfpq.exact(vectors, queries, 7)
    np.testing.assert_array_equal(large.indices, small.indices)
    np.testing.assert_allclose(large.scores, small.scores, atol=1e-6)


@pytest.mark.parametrize("shape_", [(50, 16), (20_000, 12)])
def test_too_few_vectors_or_odd_dimensions_are_an_error(tmp_path, shape_):
    pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    with pytest.raises(ConfigError, match="IVF-PQ needs 10000 vectors or more"):
        ivfpq.write(tmp_path / "a.faiss", np.zeros(shape_, np.float32))


def test_without_faiss_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ConfigError, match="extra `faiss`"):
        ivfpq.faiss()


# the model of an index


def test_the_fingerprint_of_a_model_follows_its_projectors_and_encoders(stubs):
    model = stub_model.stub_model()
    same, other = stub_model.stub_model(), stub_model.stub_model(seed=1)
    assert fingerprint(model) == fingerprint(same) == fingerprint(model, 3)
    others = {
        fingerprint(other),
        fingerprint(model, 5),
        fingerprint(stub_model.stub_model(leaves=())),
    }
    same.leaves["ears"].fingerprint = "another"
    assert len(others | {fingerprint(same), fingerprint(model)}) == 5
    with pytest.raises(ConfigError, match="no projector of seed 9"):
        fingerprint(model, 9)


def test_a_model_is_a_folder_of_export_or_a_project(stubs, tmp_path, monkeypatch):
    model = stub_model.stub_model()
    model.save(tmp_path / "exported")
    opened, source = open_model(tmp_path / "exported")
    assert fingerprint(opened) == fingerprint(model) and source == str(tmp_path / "exported")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for name, says in (
        (None, "no model: name a folder that `exmcr export` wrote"),
        (tmp_path / "empty", "holds neither exmcr.json"),
        (tmp_path / "gone", "there is no model at"),
        ("gone", "there is no folder gone"),
    ):
        with pytest.raises(ConfigError, match=says):
            open_model(name)
