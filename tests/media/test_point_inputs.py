"""Point clouds and meshes: what is read, and as what; the table is printed in docs/inputs.md."""

import os
import struct

import numpy as np
import pytest
import torch
from inputs_table import case, check, params, refused

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media import limits, meshes, rendering

POLICY = """
A cloud is a path, or an array (n, 3 or more). It is read as float32 (n, 3) in its own units and position;
one that is far from the origin is centered in float64. A file must hold what its header says. Meshes
become 10,000 points on their surface, uniform by area.
"""

RNG = np.random.default_rng(0)
CLOUD = RNG.normal(size=(50, 3)).astype(np.float32)
WIDE = np.hstack([CLOUD, RNG.integers(0, 256, (50, 3))]).astype(np.float32)
UTM = np.array([500_000, 100, 5_649_776.0])
FINE = RNG.uniform(-1, 1, (50, 3))
FINE -= (FINE.min(0) + FINE.max(0)) / 2
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
QUADS = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
TRIANGLES = [t for q in QUADS for t in ([q[0], q[1], q[2]], [q[2], q[3], q[0]])]
MIXED = QUADS[:3] + TRIANGLES[6:]
ANGLE = np.arange(8) * np.pi / 4
RING = np.stack([np.cos(ANGLE), np.sin(ANGLE)], 1)
PRISM = np.vstack([np.c_[RING, np.zeros(8)], np.c_[RING, np.ones(8)]])
SIDES = [[k, (k + 1) % 8, 8 + (k + 1) % 8, 8 + k] for k in range(8)]


def given(item):
    return lambda folder: item


def npy(array, name="a.npy"):
    def make(folder):
        with (folder / name).open("wb") as file:
            np.save(file, array)
        return folder / name

    return make


def raw(content, name):
    def make(folder):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder / name

    return make


def header(descr="<f4", shape="(50, 3)", body=CLOUD.tobytes()):
    """An .npy file with any text in its header."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + body


def npz(**arrays):
    def make(folder):
        np.savez(folder / "a.npz", **arrays)
        return folder / "a.npz"

    return make


def bomb(folder):
    """An archive whose array unpacks to 300 MB, judging by its directory."""
    path = npz(xyz=CLOUD)(folder)
    blob = bytearray(path.read_bytes())
    at = blob.index(b"PK\1\2") + 24
    blob[at : at + 4] = struct.pack("<I", 300_000_000)
    path.write_bytes(blob)
    return path


def lines(rows, separator=" ", first="", form="%.7g", end="\n"):
    return first + "".join(separator.join(form % v for v in row) + end for row in rows)


def ply(form, vertices, faces=(), n=None, m=None, extra="", tail=b"", end="\n", kind="float"):
    """A PLY file; n and m: what the header says instead of the counts."""
    n, m = len(vertices) if n is None else n, len(faces) if m is None else m
    head = ["ply", f"format {form} 1.0", *extra.splitlines(), f"element vertex {n}"]
    head += [f"property {kind} {axis}" for axis in "xyz"]
    head += [f"element face {m}", "property list uchar int vertex_indices"] if m else []
    head = end.join([*head, "end_header", ""]).encode()
    if form == "ascii":
        body = lines(vertices) + lines([[len(f), *f] for f in faces], form="%d")
        return head + body.encode() + tail
    order = "<" if "little" in form else ">"
    body = np.asarray(vertices, order + {"float": "f4", "double": "f8"}[kind]).tobytes()
    for face in faces:
        body += bytes([len(face)]) + np.asarray(face, f"{order}i4").tobytes()
    return head + body + tail


LE, BE = "binary_little_endian", "binary_big_endian"


def off(vertices=CUBE, faces=QUADS, head=None, comment="", word="OFF"):
    head = f"{word}\n{len(vertices)} {len(faces)} 0{comment}\n" if head is None else head
    return head + lines(vertices) + lines([[len(f), *f] for f in faces], form="%d")


def obj(v="v ", f="f ", faces=QUADS, vertices=CUBE, end="\n", corner="%d", before="", form="%.7g"):
    rows = [v + v[1:].join(form % x for x in row) for row in vertices]
    rows += [f + f[1:].join(corner.replace("%d", str(i + 1)) for i in face) for face in faces]
    return before + end.join(rows) + end


class Cube:
    """Expected: the six faces of the unit cube, equally often."""


class Prism:
    """Expected: the faces of an octagonal prism, by area."""


CAP = 2 * np.sqrt(2)  # area of the regular octagon of radius 1
PRISM_AREA = 2 * CAP + 8 * 2 * np.sin(np.pi / 8)

TABLE = [
    case("kind of item", "path as Path", npy(CLOUD), "its points", CLOUD),
    case("kind of item", "path as str", lambda d: str(npy(CLOUD)(d)), "its points", CLOUD),
    case(
        "kind of item",
        "array of float32, float64 or float16",
        given(CLOUD.astype(np.float64)),
        "its points",
        CLOUD,
    ),
    case(
        "kind of item",
        "array of integers",
        given((CLOUD * 1000).astype(np.int64)),
        "its points",
        (CLOUD * 1000).astype(np.int64),
    ),
    case("kind of item", "nested lists", given(CLOUD.tolist()), "its points", CLOUD),
    case(
        "kind of item",
        "torch tensor that requires grad",
        given(torch.tensor(CLOUD).requires_grad_()),
        "its points",
        CLOUD,
    ),
    case("kind of item", "big-endian array", given(CLOUD.astype(">f8")), "its points", CLOUD),
    case(
        "kind of item",
        "name that is not UTF-8",
        lambda d: (
            os.rename(npy(CLOUD)(d), os.fsdecode(os.fsencode(d) + b"/\xe9.npy"))
            or os.fsdecode(os.fsencode(d) + b"/\xe9.npy")
        ),
        "its points",
        CLOUD,
    ),
    case("kind of item", "suffix in capitals", npy(CLOUD, "A.NPY"), "its points", CLOUD),
    refused("kind of item", "another suffix", raw("solid", "a.stl"), "points are read from .npy"),
    refused("kind of item", "None", given(None), "a cloud must hold numbers"),
    refused("kind of item", "booleans", given(CLOUD > 0), "a cloud must hold numbers"),
    refused("kind of item", "complex numbers", given(CLOUD + 1j), "a cloud must hold numbers"),
    refused("kind of item", "rows of unequal length", given([[1, 2, 3], [1, 2]]), "not an array"),
    refused("kind of item", "masked array", given(np.ma.masked_less(CLOUD, 0)), "masked"),
    refused(
        "kind of item", "sparse tensor", given(torch.tensor(CLOUD).to_sparse()), "not an array"
    ),
    case(
        "columns",
        "color or normals behind the coordinates",
        given(WIDE),
        "the first three columns",
        CLOUD,
    ),
    case("columns", "the same in a file", npy(WIDE), "the first three columns", CLOUD),
    refused(
        "columns", "(3, n), as PointNet takes it", given(CLOUD.T), r"got \(3, 50\); transpose it"
    ),
    refused("columns", "(3, n) in a file", npy(CLOUD.T), r"got \(3, 50\); transpose it"),
    refused("columns", "(6, n), with normals", given(WIDE.T), r"got \(6, 50\); transpose it"),
    case("columns", "two points of six columns", given(WIDE[:2]), "two points", CLOUD[:2]),
    refused("columns", "(3, n) of few points", given(CLOUD[:5].T), r"got \(3, 5\); transpose it"),
    refused("columns", "(1, n, 3), a batch", given(CLOUD[None]), r"must be \(n, 3\)"),
    refused("columns", "(n, 2)", given(CLOUD[:, :2]), r"must be \(n, 3\)"),
    refused(
        "columns",
        "(n, 512), embeddings",
        given(RNG.normal(size=(600, 512))),
        "more than 32 columns",
    ),
    case("position", "georeferenced (UTM), float64", given(FINE + UTM), "centered", FINE),
    case("position", "georeferenced, .npy", npy(FINE + UTM), "centered", FINE),
    case(
        "position",
        "georeferenced, .xyz",
        raw(lines(FINE + UTM, form="%.6f"), "a.xyz"),
        "centered",
        FINE,
    ),
    case(
        "position",
        "georeferenced, double PLY",
        raw(ply(LE, FINE + UTM, kind="double"), "a.ply"),
        "centered",
        FINE,
    ),
    case(
        "position",
        "millimeters as int64, far away",
        given(((FINE + UTM) * 1e6).astype(np.int64)),
        "centered",
        FINE * 1e6,
    ),
    case(
        "position",
        "up to 100 extents away",
        given(FINE + [50, 0, 0]),
        "as it is",
        FINE + [50, 0, 0],
    ),
    case(
        "position",
        "georeferenced mesh",
        raw(obj(vertices=CUBE + UTM, form="%.6f"), "a.obj"),
        "sampled, centered",
        Cube,
    ),
    refused("position", "extent of 1e30", given(FINE * 1e30), "scale it"),
    refused("position", "extent of 1e-30", given(FINE * 1e-30), "scale it"),
    case(
        "copies", "every point ten times", given(np.repeat(CLOUD, 10, 0)), "each point once", CLOUD
    ),
    case(
        "copies",
        "every point twice, shuffled behind",
        given(np.vstack([CLOUD, CLOUD[::-1]])),
        "each point once",
        CLOUD,
    ),
    case(
        "copies",
        "a few",
        given(np.vstack([CLOUD, CLOUD[:5]])),
        "as it is",
        np.vstack([CLOUD, CLOUD[:5]]),
    ),
    refused(
        "copies",
        "one point many times",
        given(np.ones((50, 3))),
        "all points of the cloud coincide",
    ),
    refused("values", "empty", given(np.zeros((0, 3))), "empty cloud"),
    refused("values", "a NaN", given(np.vstack([CLOUD, [0, np.nan, 0]])), "NaN or infinite"),
    refused(
        "values", "infinity in a file", npy(np.vstack([CLOUD, [0, np.inf, 0]])), "NaN or infinite"
    ),
    case(".npy", "big-endian", npy(CLOUD.astype(">f4")), "its points", CLOUD),
    case(".npy", "column-major", npy(np.asfortranarray(CLOUD)), "its points", CLOUD),
    case(
        ".npy",
        "version 2 of the format",
        lambda d: (
            np.lib.format.write_array((d / "a.npy").open("wb"), CLOUD, version=(2, 0))
            or d / "a.npy"
        ),
        "its points",
        CLOUD,
    ),
    refused(
        ".npy",
        "header of 10^10 rows",
        raw(header(shape="(10_000_000_000, 3)"), "a.npy"),
        "bytes, but 600 follow",
    ),
    refused(
        ".npy",
        "header of more rows than follow",
        raw(header(shape="(51, 3)"), "a.npy"),
        "bytes, but 600 follow",
    ),
    refused(
        ".npy",
        "header of fewer rows than follow",
        raw(header(shape="(49, 3)"), "a.npy"),
        "bytes, but 600 follow",
    ),
    refused(
        ".npy", "negative rows", raw(header(shape="(-50, 3)"), "a.npy"), "unreadable|bytes, but"
    ),
    refused(
        ".npy",
        "header that is no dictionary",
        raw(header(shape="(50, 3"), "a.npy"),
        "unreadable .npy",
    ),
    refused(".npy", "very deep header", raw(header(shape="(" * 90), "a.npy"), "unreadable .npy"),
    refused(".npy", "unknown version", raw(b"\x93NUMPY\7\0" + bytes(99), "a.npy"), "a.npy: "),
    refused(".npy", "words", npy(np.array([["a", "b", "c"]])), "not numbers"),
    refused(
        ".npy",
        "fields x, y, z",
        npy(np.zeros(9, [("x", "f4"), ("y", "f4"), ("z", "f4")])),
        "not numbers",
    ),
    case(".npz", "array 'points'", npz(points=CLOUD, other=np.zeros(2)), "its points", CLOUD),
    case(".npz", "array 'xyz'", npz(xyz=CLOUD), "its points", CLOUD),
    refused(".npz", "neither", npz(feat=np.zeros(3)), "only .*feat"),
    refused(
        ".npz",
        "Python objects",
        npz(xyz=np.array({"a": 1}, object)),
        "refused: it holds Python objects",
    ),
    refused(".npz", "bomb of 300 MB", bomb, "raise exmcr.media.limits.BYTES"),
    refused(".npz", "damaged archive", raw(b"PK\3\4" + bytes(99), "a.npz"), "a.npz: "),
    case("text", "blanks", raw(lines(CLOUD), "a.xyz"), "its points", CLOUD),
    case("text", "tabs", raw(lines(CLOUD, "\t"), "a.txt"), "its points", CLOUD),
    case("text", "commas", raw(lines(CLOUD, ","), "a.txt"), "its points", CLOUD),
    case("text", "commas and blanks", raw(lines(CLOUD, ", "), "a.txt"), "its points", CLOUD),
    case(
        "text",
        "comments, empty lines, CR LF",
        raw(lines(CLOUD, first="# x y z\r\n\r\n", end=" # p\r\n"), "a.txt"),
        "its points",
        CLOUD,
    ),
    case("text", "byte order mark", raw("\ufeff" + lines(CLOUD), "a.xyz"), "its points", CLOUD),
    case(
        "text",
        "leading count (Leica's .pts)",
        raw(lines(WIDE, first="50\n"), "a.pts"),
        "its points",
        CLOUD,
    ),
    refused(
        "text",
        "leading count larger than the file",
        raw(lines(CLOUD, first="60\n"), "a.pts"),
        "says 60 points, 50 follow",
    ),
    refused(
        "text",
        "leading count smaller than the file",
        raw(lines(CLOUD, first="40\n"), "a.pts"),
        "says 40 points, 50 follow",
    ),
    refused(
        "text",
        "decimal commas, blanks between",
        raw("1,25 0,5 3,75\n" * 3, "a.xyz"),
        "decimal point",
    ),
    refused(
        "text",
        "decimal commas, tabs between",
        raw("1,25\t0,5\t3,75\n" * 3, "a.txt"),
        "decimal point",
    ),
    refused(
        "text", "decimal commas in some lines", raw("1 0 3\n1,5 0 2\n", "a.xyz"), "decimal point"
    ),
    refused("text", "thousands commas", raw("1,234.5 2,345.5 1.5\n" * 3, "a.xyz"), "decimal point"),
    refused(
        "text",
        "decimal commas, semicolons between",
        raw("1,25;0,5;3,75\n" * 3, "a.txt"),
        "not a table of numbers",
    ),
    refused(
        "text", "lines of unequal length", raw("1 2 3\n1 2\n", "a.xyz"), "not a table of numbers"
    ),
    refused(
        "text",
        "words (a header of CSV, a molecule)",
        raw("x y z\n1 2 3\n", "a.xyz"),
        "not a table of numbers",
    ),
    refused("text", "nothing", raw("\n# nothing\n", "a.xyz"), "no points"),
    *[
        case("PLY", f"vertices, {form}", raw(ply(form, CLOUD), "a.ply"), "its points", CLOUD)
        for form in ("ascii", LE, BE)
    ],
    case("PLY", "doubles", raw(ply(BE, CLOUD, kind="double"), "a.ply"), "its points", CLOUD),
    case(
        "PLY", "CR LF in the header", raw(ply(LE, CLOUD, end="\r\n"), "a.ply"), "its points", CLOUD
    ),
    case(
        "PLY",
        "comment with the word end_header",
        raw(ply(LE, CLOUD, extra="comment the end_header follows"), "a.ply"),
        "its points",
        CLOUD,
    ),
    case(
        "PLY",
        "comment that looks like an element",
        raw(ply("ascii", CLOUD, extra="comment element vertex 3"), "a.ply"),
        "its points",
        CLOUD,
    ),
    case(
        "PLY",
        "color between and behind the coordinates",
        raw(
            "ply\nformat ascii 1.0\nelement vertex 50\nproperty uchar red\nproperty float x\nproperty float y\nproperty float z\nproperty float nx\nend_header\n"
            + lines(np.c_[np.full(50, 7), CLOUD, CLOUD[:, 0]]),
            "a.ply",
        ),
        "x, y, z by name",
        CLOUD,
    ),
    case(
        "PLY",
        "other elements in front",
        raw(
            "ply\nformat ascii 1.0\nelement camera 1\nproperty list uchar float k\nelement vertex 50\nproperty float x\nproperty float y\nproperty float z\nend_header\n4 1 2 3 4\n"
            + lines(CLOUD),
            "a.ply",
        ),
        "the vertices",
        CLOUD,
    ),
    *[
        case(
            "PLY",
            f"cube, triangles and quads mixed, {form}",
            raw(ply(form, CUBE, MIXED), "a.ply"),
            "points on six equal faces",
            Cube,
        )
        for form in ("ascii", LE, BE)
    ],
    case(
        "PLY",
        "cube of quads",
        raw(ply(LE, CUBE, QUADS), "a.ply"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "PLY",
        "octagonal prism",
        raw(ply(LE, PRISM, [*SIDES, list(range(8)), list(range(8, 16))]), "a.ply"),
        "caps by area",
        Prism,
    ),
    refused("PLY", "faces, no vertices", raw(ply(LE, [], QUADS), "a.ply"), "no vertices"),
    refused("PLY", "header only", raw(ply(LE, []), "a.ply"), "no vertices"),
    *[
        refused(
            "PLY",
            f"more vertices in the header than follow, {form}",
            raw(ply(form, CLOUD, n=51), "a.ply"),
            "ends before its 51 x vertex",
        )
        for form in ("ascii", LE)
    ],
    *[
        refused(
            "PLY",
            f"fewer vertices in the header than follow, {form}",
            raw(ply(form, CLOUD, n=25), "a.ply"),
            "more than its header declares",
        )
        for form in ("ascii", LE)
    ],
    *[
        refused(
            "PLY",
            f"file that ends within the faces, {form}",
            raw(ply(form, CUBE, QUADS, m=7), "a.ply"),
            "ends before its 7 x face",
        )
        for form in ("ascii", LE)
    ],
    refused(
        "PLY",
        "10^12 vertices",
        raw(ply(LE, CLOUD, n=10**12), "a.ply"),
        "raise exmcr.media.limits.POINTS",
    ),
    refused(
        "PLY",
        "face of a vertex that does not exist",
        raw(ply(LE, CUBE, [[0, 1, 8]]), "a.ply"),
        "vertices that do not exist",
    ),
    refused(
        "PLY",
        "no z",
        raw(ply("ascii", CLOUD).replace(b"float z", b"float w"), "a.ply"),
        "vertices have no z",
    ),
    refused(
        "PLY",
        "unknown type",
        raw(ply("ascii", CLOUD).replace(b"float z", b"half z"), "a.ply"),
        "unknown line in the header",
    ),
    refused(
        "PLY",
        "no end of the header",
        raw(b"ply\nformat ascii 1.0\nelement vertex 3\n", "a.ply"),
        "header does not end",
    ),
    refused("PLY", "another file", raw(b"solid cube\n", "a.ply"), "not a PLY file"),
    case("OBJ", "vertices only", raw(obj(faces=[], vertices=CLOUD), "a.obj"), "its points", CLOUD),
    case("OBJ", "cube of quads", raw(obj(), "a.obj"), "points on six equal faces", Cube),
    case(
        "OBJ",
        "cube, triangles and quads mixed",
        raw(obj(faces=MIXED), "a.obj"),
        "points on six equal faces",
        Cube,
    ),
    case("OBJ", "tabs behind v", raw(obj(v="v\t"), "a.obj"), "points on six equal faces", Cube),
    case("OBJ", "tabs behind f", raw(obj(f="f\t"), "a.obj"), "points on six equal faces", Cube),
    case(
        "OBJ",
        "blanks in front, several blanks",
        raw(obj(v="v   ", before="   # cube\n").replace("\nf", "\n  f"), "a.obj"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OBJ", "byte order mark", raw("\ufeff" + obj(), "a.obj"), "points on six equal faces", Cube
    ),
    case("OBJ", "CR LF, CR", raw(obj(end="\r\n"), "a.obj"), "points on six equal faces", Cube),
    case(
        "OBJ",
        "corners with texture and normal, 1/2/3",
        raw(obj(corner="%d/7/9"), "a.obj"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OBJ",
        "corners with normal, 1//3",
        raw(obj(corner="%d//9"), "a.obj"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OBJ",
        "negative corners",
        raw(
            obj(faces=[]) + "".join("f " + " ".join(str(i - 8) for i in q) + "\n" for q in QUADS),
            "a.obj",
        ),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OBJ",
        "line continued by a backslash",
        raw(obj().replace("f 1 2", "f 1 \\\n 2"), "a.obj"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OBJ",
        "material file that is missing, groups",
        raw(
            obj(before="mtllib none.mtl\no cube\n").replace("f 1", "usemtl a\ns 1\nf 1", 1), "a.obj"
        ),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OBJ",
        "octagonal prism",
        raw(obj(vertices=PRISM, faces=[*SIDES, list(range(8)), list(range(8, 16))]), "a.obj"),
        "caps by area",
        Prism,
    ),
    refused(
        "OBJ", "vertex line cut short", raw(obj() + "v 1 2\n", "a.obj"), "a vertex of 2 coordinates"
    ),
    refused(
        "OBJ",
        "vertices in two dimensions",
        raw("v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n", "a.obj"),
        "a vertex of 2 coordinates",
    ),
    refused(
        "OBJ",
        "vertex that is no number",
        raw(obj().replace("v 0", "v O", 1), "a.obj"),
        "unreadable .obj",
    ),
    refused(
        "OBJ",
        "decimal commas",
        raw(obj().replace("v 0 0 1", "v 0,5 0,5 1,5"), "a.obj"),
        "unreadable .obj",
    ),
    refused("OBJ", "corner 0", raw(obj() + "f 0 1 2\n", "a.obj"), "vertices that do not exist"),
    refused(
        "OBJ",
        "corner beyond the vertices",
        raw(obj() + "f 1 2 9\n", "a.obj"),
        "vertices that do not exist",
    ),
    refused(
        "OBJ", "face that is no number", raw(obj() + "f a b c\n", "a.obj"), "no corner of a face"
    ),
    refused(
        "OBJ",
        "NaN in a vertex of a face",
        raw(obj().replace("v 0 0 1", "v 0 0 nan"), "a.obj"),
        "NaN or infinite",
    ),
    refused("OBJ", "faces without area", raw(obj(vertices=CUBE * [1, 0, 0]), "a.obj"), "no area"),
    refused("OBJ", "nothing", raw("# empty\n", "a.obj"), "no vertices"),
    case("OFF", "vertices only", raw(off(CLOUD, []), "a.off"), "its points", CLOUD),
    case("OFF", "cube of quads", raw(off(), "a.off"), "points on six equal faces", Cube),
    case(
        "OFF",
        "counts on the line of the word, without a blank",
        raw(off(head="OFF8 6 0\n"), "a.off"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OFF",
        "counts on the line of the word",
        raw(off(head="OFF 8 6 0\n"), "a.off"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OFF",
        "comment in front",
        raw(off(head="# cube\nOFF\n# counts\n8 6 0\n"), "a.off"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OFF",
        "comment behind the counts",
        raw(off(comment=" # 8 corners, 6 faces"), "a.off"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OFF",
        "comment behind a vertex and a face",
        raw(off().replace("0 0 1\n", "0 0 1 # 9\n").replace("4 0 1 3 2", "4 0 1 3 2 # 5"), "a.off"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OFF",
        "colors of faces",
        raw(off().replace("4 0 1 3 2", "4 0 1 3 2 255 0 0"), "a.off"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OFF",
        "colors of vertices (COFF)",
        raw(off(np.c_[CUBE, np.full((8, 4), 9)], word="COFF"), "a.off"),
        "points on six equal faces",
        Cube,
    ),
    case(
        "OFF", "two counts", raw(off(head="OFF\n8 6\n"), "a.off"), "points on six equal faces", Cube
    ),
    case(
        "OFF",
        "octagonal prism",
        raw(off(PRISM, [*SIDES, list(range(8)), list(range(8, 16))]), "a.off"),
        "caps by area",
        Prism,
    ),
    refused(
        "OFF",
        "file that ends early",
        raw(off()[:-20], "a.off"),
        "8 vertices and 6 faces, 1[23] lines|has 3 indices",
        "8 vertices and 6 faces, 12 lines follow",
    ),
    refused(
        "OFF",
        "half of the vertices, no faces",
        raw(off(CLOUD, [], head="OFF\n100 0 0\n"), "a.off"),
        "100 vertices and 0 faces, 50 lines follow",
    ),
    refused(
        "OFF",
        "fewer in the header than follow",
        raw(off(head="OFF\n8 5 0\n"), "a.off"),
        "8 vertices and 5 faces, 14 lines follow",
    ),
    refused(
        "OFF",
        "face with fewer indices than it says",
        raw(off().replace("4 0 1 3 2", "5 0 1 3 2"), "a.off"),
        "a face of 5 corners has 4 indices",
    ),
    refused(
        "OFF",
        "face of a vertex that does not exist",
        raw(off().replace("4 0 1 3 2", "4 0 1 3 8"), "a.off"),
        "vertices that do not exist",
    ),
    refused(
        "OFF",
        "10^12 vertices",
        raw(off(head="OFF\n1000000000000 6 0\n"), "a.off"),
        "raise exmcr.media.limits.POINTS",
    ),
    refused("OFF", "binary", raw("OFF BINARY\n" + "\0" * 40, "a.off"), "not an OFF file in ASCII"),
    refused(
        "OFF", "four dimensions (4OFF)", raw(off(word="4OFF"), "a.off"), "four or n dimensions"
    ),
    refused("OFF", "no counts", raw("OFF\n", "a.off"), "no counts"),
    refused("other", "missing file", lambda d: d / "none.ply", "no file"),
    refused("other", "folder", lambda d: (d / "a.npy").mkdir() or d / "a.npy", "not a file"),
    refused(
        "other",
        "named pipe, which would never end",
        lambda d: os.mkfifo(d / "pipe.xyz") or d / "pipe.xyz",
        "not a file",
    ),
    refused("other", "empty file", raw("", "a.ply"), "empty file"),
]


def same(cloud, expected):
    if expected is Cube:
        cloud = cloud - (cloud.min(0) + cloud.max(0)) / 2 + 0.5
        shares = [(np.abs(cloud[:, k] - side) < 1e-3).mean() for k in range(3) for side in (0, 1)]
        return len(cloud) == 10_000 and np.abs(np.array(shares) - 1 / 6).max() < 0.02
    if expected is Prism:
        shares = [(np.abs(cloud[:, 2] - side) < 1e-6).mean() for side in (0, 1)]
        return np.abs(np.array(shares) - CAP / PRISM_AREA).max() < 0.02
    expected = np.asarray(expected)
    scale = np.abs(expected).max()
    return cloud.shape == expected.shape and np.abs(cloud - expected).max() < 2e-6 * scale


@pytest.mark.parametrize("entry", params(TABLE))
def test_a_cloud_is_read_or_refused_as_the_table_says(entry, tmp_path):
    cloud = check(entry, lambda raw: media.load("points", raw), entry.make(tmp_path), same)
    if cloud is not None:
        assert cloud.dtype == np.float32 and cloud.flags.c_contiguous


def test_polygons_become_fans():
    fans = meshes.fans([np.array([[0, 1, 2]]), np.array([[3, 4, 5, 6, 7]]), np.array([[1, 2]])])
    assert fans.tolist() == [[0, 1, 2], [3, 4, 5], [3, 5, 6], [3, 6, 7]]
    assert meshes.fans([]).shape == (0, 3)


def test_a_cloud_beyond_the_limit_of_points_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(limits, "POINTS", 49)
    for item in (CLOUD, npy(CLOUD)(tmp_path), raw(lines(CLOUD), "a.xyz")(tmp_path)):
        with pytest.raises(BadItem, match="50 points, more than 49"):
            media.load("points", item)


def ball(n=2000):
    v = RNG.normal(size=(n, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True) * [1, 0.6, 0.3]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: np.repeat(c, 13, axis=0),
        lambda c: np.vstack([c, *[c[:400]] * 4]),
        lambda c: c[np.random.default_rng(1).permutation(len(c))],
        lambda c: c + UTM,
        lambda c: c * 1e-12,
        lambda c: c * 1e9,
    ],
    ids=["13 copies", "copies of some", "another order", "far away", "tiny", "huge"],
)
def test_pictures_of_a_cloud_do_not_depend_on_copies_order_position_or_size(change):
    cloud = ball()
    expected = rendering.render(media.load("points", cloud))
    for a, b in zip(rendering.render(media.load("points", change(cloud))), expected, strict=True):
        assert (np.abs(a.astype(int) - b).max(axis=2) > 8).mean() < 0.002


def test_normals_ignore_copies():
    cloud = ball()
    expected = rendering.normals(cloud)
    for copies in (2, 13, 20):
        np.testing.assert_allclose(
            np.abs((rendering.normals(np.repeat(cloud, copies, 0))[::copies] * expected).sum(1)),
            1,
            atol=1e-6,
        )
