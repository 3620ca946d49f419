"""Point files: every format gives back the points written, and nothing in a file is executed."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media import meshes, point_files, records

DEMO = Path(
    os.environ.get("EXMCR_AUTHORS_DEMO", Path(__file__).parents[3] / "shared/data/authors-demo")
)
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
QUADS = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


def ply(path, vertices, faces, form):
    head = f"ply\nformat {form} 1.0\ncomment made by a test\nelement vertex {len(vertices)}\n"
    head += "property float x\nproperty float y\nproperty float z\n"
    if len(faces):
        head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\n"
    body = head.encode() + b"end_header\n"
    if form == "ascii":
        rows = [" ".join(map(repr, map(float, row))) for row in vertices]
        rows += [f"{len(face)} " + " ".join(map(str, face)) for face in faces]
        body += "\n".join(rows).encode() + b"\n"
    else:
        order = "<" if "little" in form else ">"
        body += np.asarray(vertices, f"{order}f4").tobytes()
        for face in faces:
            body += bytes([len(face)]) + np.asarray(face, f"{order}i4").tobytes()
    path.write_bytes(body)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pts", ".xyz", ".txt"])
def test_a_cloud_is_read_as_it_was_written(tmp_path, cloud, suffix):
    path = tmp_path / f"cloud{suffix}"
    if suffix == ".npy":
        np.save(path, cloud)
    elif suffix == ".npz":
        np.savez(path, other=np.zeros(2), points=cloud)
    elif suffix == ".pts":
        path.write_text(
            f"{len(cloud)}\n" + "\n".join(" ".join(map(str, row)) + " 12 0 0 255" for row in cloud)
        )
    else:
        path.write_text(
            "# x y z\n"
            + "\n".join((", " if suffix == ".txt" else " ").join(map(str, row)) for row in cloud)
        )
    np.testing.assert_allclose(media.points.load(path), cloud, rtol=1e-6)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_vertices_without_faces_are_the_cloud(tmp_path, cloud, form):
    np.testing.assert_allclose(
        media.points.load(ply(tmp_path / "a.ply", cloud, [], form)), cloud, rtol=1e-6
    )


def mesh_file(folder, kind):
    if kind in ("off", "off-joined"):
        # Some files of ModelNet40 have the counts on the line of the word OFF, without a blank.
        head = "OFF8 6 0\n" if kind == "off-joined" else "OFF\n8 6 0\n"
        path = folder / "a.off"
        path.write_text(
            head
            + "\n".join(" ".join(map(str, v)) for v in CUBE)
            + "\n"
            + "\n".join("4 " + " ".join(map(str, q)) for q in QUADS)
            + "\n"
        )
    elif kind == "obj":
        path = folder / "a.obj"
        path.write_text(
            "mtllib missing.mtl\n"
            + "\n".join("v " + " ".join(map(str, v)) for v in CUBE)
            + "\nusemtl red\n"
            + "\n".join("f " + " ".join(str(i + 1) for i in q) for q in QUADS[:3])
            + "\nusemtl blue\n"
            + "\n".join("f " + " ".join(str(i + 1) for i in q) for q in QUADS[3:])
            + "\n"
        )
    else:
        path = ply(folder / "a.ply", CUBE, QUADS, kind)
    return path


@pytest.mark.parametrize(
    "kind", ["off", "off-joined", "obj", "ascii", "binary_little_endian", "binary_big_endian"]
)
def test_meshes_are_sampled_uniformly_by_area_and_reproducibly(tmp_path, kind):
    path = mesh_file(tmp_path, kind)
    sampled = media.points.load(path)
    assert sampled.shape == (point_files.MESH_POINTS, 3)
    on_face = np.isclose(sampled, 0, atol=1e-6) | np.isclose(sampled, 1, atol=1e-6)
    assert on_face.any(axis=1).all() and sampled.min() >= -1e-6 and sampled.max() <= 1 + 1e-6
    for axis in range(
        3
    ):  # each of the six equal faces gets a sixth: 1667 +- 4 standard deviations of 37
        assert abs(int((sampled[:, axis] < 1e-6).sum()) - 1667) < 150
    np.testing.assert_array_equal(sampled, media.points.load(path))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_openshape_records_are_read_without_the_unpickler_of_numpy(tmp_path, cloud, protocol):
    record = {
        "dataset": "Objaverse",
        "id": "a1",
        "text": ["a mug"],
        "xyz": cloud.astype(np.float16),
        "n": np.float32(2.5),
        "raw": b"\xff\x00",
        "feat": [{"original": np.ones((1, 4), np.float32)}],
    }
    path = tmp_path / "record.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        pickle.dump(np.array(record, object), file, protocol=protocol)
    np.testing.assert_array_equal(
        media.points.load(path), cloud.astype(np.float16).astype(np.float32)
    )
    read = records.read_record(path)
    assert read["text"] == ["a mug"] and read["n"] == np.float32(2.5) and read["raw"] == b"\xff\x00"
    np.testing.assert_array_equal(read["feat"][0]["original"], np.ones((1, 4)))


class Bomb:
    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        lambda mark: (os.system, (f"touch {mark}",)),
        lambda mark: (eval, (f"open({str(mark)!r}, 'w')",)),
        lambda mark: (Path.touch, (mark,)),
    ],
    ids=["os.system", "eval", "Path.touch"],
)
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, cloud, call):
    mark, path = tmp_path / "mark", tmp_path / "bomb.npy"
    np.save(path, np.array({"xyz": cloud, "boom": Bomb(call(mark))}, object), allow_pickle=True)
    with pytest.raises(BadItem, match="refused: the pickle calls"):
        media.points.load(path)
    assert not mark.exists()
    np.load(path, allow_pickle=True).item()  # the pickle is live: the reader of numpy executes it
    assert mark.exists()


@pytest.mark.parametrize("suffix", list(point_files.READERS))
def test_errors_name_empty_damaged_and_missing_files(tmp_path, suffix):
    path = tmp_path / f"bad{suffix}"
    with pytest.raises(BadItem, match="bad"):
        point_files.read(path)
    path.write_bytes(b"")
    with pytest.raises(BadItem, match="empty file"):
        point_files.read(path)
    path.write_bytes(b"\x93NUMPY this is no such thing \x00\xff\n" * 3)
    with pytest.raises(BadItem, match="bad"):
        point_files.read(path)


def test_other_contents_are_refused(tmp_path):
    with pytest.raises(BadItem, match="read from"):
        point_files.read(tmp_path / "cloud.stl")
    np.savez(tmp_path / "a.npz", feat=np.zeros(3))
    with pytest.raises(BadItem, match="feat"):
        point_files.read(tmp_path / "a.npz")
    np.savez(tmp_path / "o.npz", xyz=np.array({"a": 1}, object))
    with pytest.raises(BadItem, match="o.npz: refused: it holds Python objects"):
        point_files.read(tmp_path / "o.npz")
    (tmp_path / "bare.npy").write_bytes(pickle.dumps({"xyz": np.zeros((4, 3))}))
    with pytest.raises(BadItem, match="bare.npy: not an .npy file"):
        point_files.read(tmp_path / "bare.npy")
    np.save(tmp_path / "list.npy", np.array([1, "a"], object), allow_pickle=True)
    with pytest.raises(BadItem, match="not of a dict"):
        point_files.read(tmp_path / "list.npy")
    np.save(tmp_path / "words.npy", np.array([["a", "b", "c"]]))
    with pytest.raises(BadItem, match="not numbers"):
        point_files.read(tmp_path / "words.npy")
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    with pytest.raises(BadItem, match="empty cloud"):
        media.points.load(tmp_path / "none.npy")
    (tmp_path / "flat.off").write_text("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n")
    with pytest.raises(BadItem, match="no area"):
        point_files.read(tmp_path / "flat.off")
    path = tmp_path / "cut.npz"
    np.savez(path, xyz=np.zeros((50, 3)))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadItem, match="npz"):
        point_files.read(path)
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("xyz.npy", b"nonsense")
    with pytest.raises(BadItem):
        point_files.read(tmp_path / "zip.npz")


def test_a_cloud_is_centered_and_scaled_to_the_unit_sphere(cloud):
    moved = meshes.unit_sphere(cloud * 7 + 3)
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-6)
    assert np.linalg.norm(moved, axis=1).max() == pytest.approx(1, abs=1e-6)


@pytest.mark.skipif(
    not DEMO.is_dir(),
    reason="the demo files of the authors are not here; set EXMCR_AUTHORS_DEMO to their folder",
)
@pytest.mark.parametrize("name", ["toilet", "BBQ", "train"])
def test_demo_records_of_the_authors_are_read(name):
    cloud = media.points.load(DEMO / f"{name}.npy")
    assert cloud.shape == (10_000, 3) and cloud.dtype == np.float32
    assert np.linalg.norm(cloud, axis=1).max() == pytest.approx(1, abs=2e-3)
