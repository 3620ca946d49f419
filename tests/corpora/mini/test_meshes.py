"""Mesh formats of games, each held against a file built by hand."""

import struct

import numpy as np
import pytest

from exmcr.common.errors import BadItem, ConfigError
from exmcr.corpora.mini import concepts, contents, meshes, shapes

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0]], np.float32)


def g3d(parts, frames=1, textures=0):
    content = b"G3D\x04" + struct.pack("<HB", len(parts), 0)
    for vertices, faces in parts:
        flags = (1 << textures) - 1
        sizes = (frames, len(vertices), 3 * len(faces))
        content += struct.pack("<64s3I8f2I", b"part", *sizes, *[0.5] * 8, 0, flags)
        content += b"".join(b"%-64d" % k for k in range(textures))
        for frame in range(frames):  # later frames are elsewhere
            content += (vertices + 100 * frame).astype("<f4").tobytes()
        content += np.ones((frames, len(vertices), 3), "<f4").tobytes()
        content += np.zeros((len(vertices), 2), "<f4").tobytes() if textures else b""
        content += np.asarray(faces, "<u4").tobytes()
    return content


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("textures", [0, 1, 2])
def test_a_g3d_file_is_its_first_frame(frames, textures):
    parts = [(TRIANGLE, [[0, 1, 2]]), (TRIANGLE + 5, [[2, 1, 0], [0, 1, 2]])]
    vertices, faces = meshes.read(g3d(parts, frames, textures), ".g3d")
    np.testing.assert_array_equal(vertices, np.concatenate([TRIANGLE, TRIANGLE + 5]))
    assert faces.tolist() == [[0, 1, 2], [5, 4, 3], [3, 4, 5]]


AC = """AC3Db
MATERIAL "white" rgb 1 1 1 amb 1 1 1 emis 0 0 0 spec 0 0 0 shi 0 trans 0
OBJECT world
kids 2
OBJECT group
loc 10 0 0
kids 1
OBJECT poly
name "turned"
loc 0 1 0
rot 0 1 0 -1 0 0 0 0 1
numvert 4
0 0 0
1 0 0
1 1 0
0 1 0
numsurf 1
SURF 0x20
mat 0
refs 4
0 0 0
1 0 0
2 0 0
3 0 0
kids 0
OBJECT poly
numvert 3
0 0 0
0 0 7
0 7 0
numsurf 1
SURF 0x20
refs 3
0 0 0
1 0 0
2 0 0
kids 0
"""


def test_an_ac_file_is_a_tree_of_offsets_and_rotations():
    vertices, faces = meshes.read(AC.encode(), ".ac")
    # The first object: x goes to y, y to -x, then (10, 1, 0) is added.
    assert vertices[:4].tolist() == [[10, 1, 0], [10, 2, 0], [9, 2, 0], [9, 1, 0]]
    assert vertices[4:].tolist() == [[0, 0, 0], [0, 0, 7], [0, 7, 0]]
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]


MS3D = """// MilkShape 3D ASCII
Frames: 30
Frame: 1

Meshes: 2
"wing" 0 0
3
0 0 0 0 0.1 0.2 -1
0 1 0 0 0.1 0.2 -1
0 0 2 0 0.1 0.2 -1
1
0 0 1
1
0 0 1 2 0 0 0 1
"tail" 0 -1
3
0 5 5 5 0 0 -1
0 6 5 5 0 0 -1
0 5 7 5 0 0 -1
1
0 0 1
1
0 2 1 0 0 0 0 1
Materials: 0
"""


def test_an_ms3d_file_has_a_list_per_mesh():
    vertices, faces = meshes.read(MS3D.encode(), ".txt")
    np.testing.assert_allclose(vertices, np.concatenate([TRIANGLE, TRIANGLE + 5]))
    assert faces.tolist() == [[0, 1, 2], [5, 4, 3]]


@pytest.mark.parametrize(
    "suffix, content, reason",
    [
        (".g3d", b"G3D\x03" + bytes(90), "version 4"),
        (".g3d", b"", "version 4"),
        (".g3d", g3d([(TRIANGLE, [[0, 1, 2]])])[:-4], "unreadable mesh"),
        (".g3d", g3d([]), "no faces"),
        (".g3d", g3d([(TRIANGLE, [[0, 1, 3]])]), "do not exist"),
        (".ac", b"nonsense", "not an AC3D file"),
        (".ac", AC[:150].encode(), "no faces"),
        (".ac", AC[:320].encode(), "unreadable mesh"),
        (".ac", AC.replace("kids 2", "kids 0").encode(), "unreadable mesh"),
        (".ac", AC.replace("refs 3", "refs x").encode(), "unreadable mesh"),
        (".txt", b"README: how to build this", "unreadable mesh"),
        (".txt", MS3D[:120].encode(), "unreadable mesh"),
    ],
)
def test_a_damaged_mesh_is_a_bad_item(suffix, content, reason):
    with pytest.raises(BadItem, match=reason):
        meshes.read(content, suffix)


@pytest.fixture
def raw(tmp_path, monkeypatch):
    path = tmp_path / "scorched3d-data/usr/share/games/scorched3d/data/globalmods/apoc/data/meshes"
    path.mkdir(parents=True)
    (path / "bird.txt").write_text(MS3D)
    monkeypatch.setattr(contents, "fetch", lambda package, raw: raw / package)
    monkeypatch.setattr(shapes, "COLLECTIONS", {"scorched3d": shapes.COLLECTIONS["scorched3d"]})
    return tmp_path


def test_a_shape_is_centered_and_as_long_as_1(raw, monkeypatch):
    names = {"bird": ("bird", "small bird")}
    monkeypatch.setattr(shapes, "named_shapes", lambda source: names)
    [(item, path)] = shapes.items(raw)
    assert (item["modality"], item["concept"], item["caption"]) == ("points", "bird", "small bird")
    cloud = shapes.cloud(path, 500, seed=0)
    assert cloud.dtype == np.float32 and cloud.shape == (500, 3)
    low, high = cloud.min(0), cloud.max(0)
    assert (high - low).max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose((low + high) / 2, 0, atol=1e-6)


def test_a_listed_mesh_that_is_missing_is_an_error(raw, monkeypatch):
    monkeypatch.setattr(shapes, "named_shapes", lambda source: {"ghost": ("ghost", "ghost")})
    with pytest.raises(ConfigError, match="scorched3d-data has no mesh 'ghost'"):
        list(shapes.items(raw))


@pytest.mark.parametrize("source", shapes.COLLECTIONS)
def test_the_concept_of_every_shape_is_a_noun_and_no_alias(source):
    for name, (concept, caption) in concepts.named_shapes(source).items():
        assert concepts.concept_of(concept) == concept, name
        assert caption == caption.strip() and len(caption) > 2
