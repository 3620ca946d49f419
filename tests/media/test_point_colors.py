"""Clouds keep their colors beside their coordinates, whatever holds them."""

import pickle

import numpy as np
import pytest
import torch

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media import point_files
from exmcr.media.points import Cloud

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(50, 3)).astype(np.float32)
RGB = RNG.uniform(size=(50, 3)).astype(np.float32)
BYTES = RNG.integers(0, 256, (50, 3))
NORMALS = XYZ / np.linalg.norm(XYZ, axis=1, keepdims=True)


def record(folder):
    content = {"xyz": XYZ.astype(np.float16), "rgb": RGB.astype(np.float16), "id": "a"}
    np.save(folder / "a.npy", content, allow_pickle=True)
    return folder / "a.npy"


def npz(folder, name="rgb", colors=BYTES.astype(np.uint8)):
    np.savez(folder / "a.npz", xyz=XYZ, **{name: colors})
    return folder / "a.npz"


def ply(folder, colors=BYTES, binary=False, face=""):
    kinds = [("x", "f4"), ("red", "u1"), ("y", "f4"), ("green", "u1"), ("z", "f4"), ("blue", "u1")]
    names = {"f4": "float", "u1": "uchar"}
    form = "binary_little_endian" if binary else "ascii"
    head = ["ply", f"format {form} 1.0", f"element vertex {len(XYZ)}"]
    head += [f"property {names[kind]} {name}" for name, kind in kinds]
    head += ["element face 1", "property list uchar int vertex_indices"] if face else []
    table = np.zeros(len(XYZ), kinds)
    for n, (axis, color) in enumerate([("x", "red"), ("y", "green"), ("z", "blue")]):
        table[axis], table[color] = XYZ[:, n], colors[:, n]
    body = table.tobytes()
    if not binary:
        body = "".join(" ".join(repr(v.item()) for v in row) + "\n" for row in table).encode()
    path = folder / "a.ply"
    path.write_bytes("\n".join([*head, "end_header", ""]).encode() + body + face.encode())
    return path


COLORED = {
    "columns from 0 to 1": (lambda _: np.hstack([XYZ, RGB]), RGB),
    "columns from 0 to 255": (lambda _: np.hstack([XYZ, BYTES]), BYTES / 255),
    "six of nine columns": (lambda _: np.hstack([XYZ, BYTES, NORMALS]), BYTES / 255),
    "nested lists": (lambda _: np.hstack([XYZ, RGB]).tolist(), RGB),
    "a tensor": (lambda _: torch.from_numpy(np.hstack([XYZ, RGB])), RGB),
    "an OpenShape record": (record, RGB.astype(np.float16)),
    "an archive": (npz, BYTES / 255),
    "an archive with colors": (lambda d: npz(d, "colors", RGB), RGB),
    "nearly black bytes": (lambda d: npz(d, colors=BYTES % 2), BYTES % 2 / 255),
    "an ASCII PLY": (ply, BYTES / 255),
    "a binary PLY": (lambda d: ply(d, binary=True), BYTES / 255),
    "a nearly black PLY": (lambda d: ply(d, BYTES % 2), BYTES % 2 / 255),
}
PLAIN = {
    "three columns": lambda _: XYZ,
    "normals": lambda _: np.hstack([XYZ, NORMALS]),
    "fractions above 1": lambda _: np.hstack([XYZ, 3.5 * RGB]),
    "two more columns": lambda _: np.hstack([XYZ, RGB[:, :2]]),
    "NaN behind the coordinates": lambda _: np.hstack([XYZ, RGB * np.nan]),
    "an archive whose colors do not fit": lambda d: npz(d, colors=RGB[:7]),
    "an archive whose colors are pickled": lambda d: npz(d, colors=np.full((50, 3), None)),
    "an archive whose colors are words": lambda d: npz(d, colors=np.full((50, 3), "red")),
}


@pytest.mark.parametrize("kind", COLORED)
def test_colors_are_read(kind, tmp_path):
    make, colors = COLORED[kind]
    cloud = media.load("points", make(tmp_path))
    assert isinstance(cloud, Cloud) and cloud.dtype == cloud.colors.dtype == np.float32
    np.testing.assert_allclose(cloud, XYZ, atol=2e-3)
    np.testing.assert_allclose(cloud.colors, colors, atol=1e-6)


@pytest.mark.parametrize("kind", PLAIN)
def test_other_columns_are_no_colors(kind, tmp_path):
    cloud = media.load("points", PLAIN[kind](tmp_path))
    assert type(cloud) is np.ndarray
    np.testing.assert_array_equal(cloud, XYZ)


def test_a_mesh_is_sampled_as_without_the_colors_of_its_vertices(tmp_path):
    cloud = media.load("points", ply(tmp_path, face="3 0 1 2\n"))
    assert cloud.shape == (point_files.MESH_POINTS, 3) and type(cloud) is np.ndarray


def test_colors_stay_with_their_points_when_copies_are_dropped_and_far_clouds_are_centered():
    far = np.hstack([XYZ + 1e6, RGB]).astype(np.float64)
    cloud = media.load("points", np.vstack([far, far[::-1], far]))
    assert cloud.shape == cloud.colors.shape == (50, 3)
    np.testing.assert_allclose(cloud.colors, RGB, atol=1e-6)
    assert np.abs(cloud).max() < 10


def test_a_loaded_cloud_keeps_its_colors_and_arrays_that_are_computed_from_it_have_none():
    cloud = media.load("points", np.hstack([XYZ, RGB]))
    again = media.load("points", cloud)
    np.testing.assert_array_equal(again.colors, cloud.colors)
    assert (cloud - 1).colors is None and cloud[:5].colors is None
    assert type(np.stack([cloud, cloud])) is np.ndarray
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        same = pickle.loads(pickle.dumps(cloud, protocol))
        assert type(same) is Cloud
        np.testing.assert_array_equal(same, cloud)
        np.testing.assert_array_equal(same.colors, cloud.colors)
    with pytest.raises(BadItem, match="coincide"):
        media.load("points", np.hstack([XYZ * 0, RGB]))
