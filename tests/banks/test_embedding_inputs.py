"""What `import_bank` reads and refuses, as a table (tests/inputs_table.py).

Every accepted row must give the same eight vectors, `X`; a row with names must give those ids too.
"""

import io
import os
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from inputs_table import case, check, params, refused
from safetensors.torch import save_file

from exmcr.banks import Bank, aligned, bank
from exmcr.banks.importing import import_bank
from exmcr.common.errors import ConfigError

POLICY = """Vectors are read from .npy, .safetensors and .pt, in capitals too, and nothing in a file is executed. Rows are
scaled to unit norm in float64 and stored as float32. Ids are brought to Unicode form NFC, without byte order mark and
blanks around them. What is refused leaves no bank behind, and a bank that was there stays."""

N, D = 8, 6
X = np.random.default_rng(0).normal(size=(N, D))
X /= np.linalg.norm(X, axis=1, keepdims=True)
IDS = [f"i{k}" for k in range(N)]
UMLAUT = [f"h\u00fctte {k}" for k in range(N)]


def npy(values, name="a.npy"):
    def make(folder: Path):
        np.save(folder / "written.npy", values)
        (folder / "written.npy").rename(folder / name)
        return {"source": folder / name}

    return make


def pt(content, name="a.pt", **more):
    def make(folder: Path):
        torch.save(content() if callable(content) else content, folder / name)
        return {"source": folder / name, **more}

    return make


def tensor(values=X, dtype=torch.float32):
    return torch.tensor(np.ascontiguousarray(values)).to(dtype)


def safe(content, **more):
    def make(folder: Path):
        save_file(content, folder / "a.safetensors")
        return {"source": folder / "a.safetensors", **more}

    return make


def raw(name, content: bytes, **more):
    def make(folder: Path):
        (folder / name).write_bytes(content)
        return {"source": folder / name, **more}

    return make


def listed(name, content, what="ids"):
    """X with ids, captions or concepts from a list file: text, bytes, or a function that writes it."""

    def make(folder: Path):
        np.save(folder / "a.npy", X)
        path = folder / name
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return {"source": folder / "a.npy", what: path}

    return make


def parquet(frame):
    return lambda path: (frame() if callable(frame) else frame).to_parquet(path)


def lines(values, end="\n"):
    return end.join(values) + end


def with_row(row, at=3):
    values = X.copy()
    values[at] = row
    return values


def npz_bytes():
    content = io.BytesIO()
    np.savez(content, x=X)
    return content.getvalue()


def npy_bytes(header=None, cut=None):
    content = io.BytesIO()
    np.save(content, X)
    data = content.getvalue()
    return (data.replace(*header) if header else data)[:cut]


TABLE = [
    case("numbers", "float32", npy(X.astype("f4")), "as it is"),
    case("numbers", "float64", npy(X), "as it is"),
    case("numbers", "big-endian float32", npy(X.astype(">f4")), "as it is"),
    case("numbers", "big-endian float64", npy(X.astype(">f8")), "as it is"),
    case(
        "numbers",
        "big-endian float16, times 100",
        npy(np.round(X * 100).astype(">f2")),
        "scaled",
        (None, np.round(X * 100)),
    ),
    case("numbers", "float128", npy(X.astype(np.longdouble)), "as it is"),
    case(
        "numbers",
        "bfloat16 tensor",
        pt(lambda: tensor(dtype=torch.bfloat16)),
        "scaled",
        (None, tensor(dtype=torch.bfloat16).double().numpy()),
    ),
    refused("numbers", "int64", npy((X * 100).astype(int)), "a.npy must hold floats, not int64"),
    refused(
        "numbers",
        "int8 (quantized)",
        npy((X * 100).astype("i1")),
        "a.npy must hold floats, not int8",
    ),
    refused("numbers", "bool", npy(X > 0), "must hold floats, not bool"),
    refused("numbers", "complex", npy(X.astype(complex)), "must hold floats, not complex128"),
    refused("numbers", "records", npy(np.zeros((3, 2), [("a", "f4")])), "must hold floats"),
    refused(
        "numbers",
        "int64 tensor",
        pt(lambda: tensor(X * 100, torch.int64)),
        "must hold floats, not int64",
    ),
    refused(
        "numbers",
        "objects (a pickle)",
        npy(np.array([["a", None]], object)),
        "not a plain .npy array",
    ),
    case("size", "rows of 1e200", npy(X * 1e200), "scaled"),
    case("size", "rows of 1e-200", npy(X * 1e-200), "scaled"),
    case("size", "rows of 1e-310, below the normal range", npy(X * 1e-310), "scaled"),
    case(
        "size",
        "rows of 1e300 and 1e-300 in one file",
        npy(X * np.array([1e300, 1e-300] * 4)[:, None]),
        "scaled",
    ),
    case("size", "float32 rows of 1e30", npy((X * 1e30).astype("f4")), "scaled"),
    refused("size", "a zero row", npy(with_row(0)), "row 3 is zero, and 0 more"),
    refused("size", "a row of NaN", npy(with_row(np.nan)), "row 3 is NaN or infinite"),
    refused(
        "size", "one infinite number", npy(with_row([np.inf] + [0] * 5)), "row 3 is NaN or infinite"
    ),
    refused("size", "float16 that overflowed", npy((X * 1e6).astype("f2")), "is NaN or infinite"),
    case("layout", "Fortran order", npy(np.asfortranarray(X)), "as it is"),
    case("layout", "a transposed tensor", pt(lambda: tensor().T.contiguous().T), "as it is"),
    refused("layout", "one vector (d,)", npy(X[0]), r"its shape is \(6,\)"),
    refused("layout", "(n, 1, d)", npy(X[:, None]), r"its shape is \(8, 1, 6\)"),
    refused("layout", "no rows", npy(X[:0]), r"its shape is \(0, 6\)"),
    refused("layout", "no columns", npy(X[:, :0]), r"its shape is \(8, 0\)"),
    refused("layout", "a number", npy(np.float32(1)), r"its shape is \(\)"),
    case("file name", ".NPY", npy(X, "A.NPY"), "as .npy"),
    case("file name", ".PT", pt(tensor, "A.PT"), "as .pt"),
    case("file name", ".pth", pt(tensor, "a.pth"), "as .pt"),
    refused("file name", ".bin", raw("a.bin", b"x"), "read from .npy, .safetensors and .pt"),
    refused(
        "file name",
        "an .npz archive",
        raw("a.npz", npz_bytes()),
        "read from .npy, .safetensors and .pt",
    ),
    refused(
        "file name",
        "an .npz archive under .npy",
        raw("a.npy", npz_bytes()),
        "it is an .npz archive",
    ),
    refused(
        "damage", ".npy that ends early", raw("a.npy", npy_bytes(cut=300)), "not a plain .npy array"
    ),
    refused(
        "damage",
        ".npy that claims 10^10 rows",
        raw("a.npy", npy_bytes(header=(b"(8, 6)", b"(9999999999, 6)"))),
        "not a plain .npy array|must hold",
    ),
    refused(
        "damage",
        ".npy with a broken header",
        raw("a.npy", npy_bytes(header=(b"'descr'", b"'desc(("))),
        "not a plain .npy array",
    ),
    refused("damage", "an empty .npy", raw("a.npy", b""), "not a plain .npy array"),
    refused(
        "damage", "a web page as .npy", raw("a.npy", b"<!doctype html>"), "not a plain .npy array"
    ),
    refused("damage", "a web page as .pt", raw("a.pt", b"<!doctype html>"), "a.pt "),
    refused(
        "damage", "an empty .safetensors", raw("a.safetensors", b""), "a.safetensors cannot be read"
    ),
    refused(
        "damage",
        "a folder as .npy",
        lambda folder: (folder / "a.npy").mkdir() or {"source": folder / "a.npy"},
        "no file",
    ),
    case(".pt", "a tensor that requires grad", pt(lambda: tensor().requires_grad_()), "as it is"),
    case(".pt", "a Parameter", pt(lambda: torch.nn.Parameter(tensor())), "as it is"),
    case(".pt", "a sparse tensor", pt(lambda: tensor().to_sparse()), "dense"),
    case(".pt", "a list of n tensors (d,)", pt(lambda: list(tensor())), "stacked"),
    case(".pt", "a list of tensors (1, d)", pt(lambda: list(tensor()[:, None])), "joined"),
    case(".pt", "a list of batches (k, d)", pt(lambda: [tensor()[:5], tensor()[5:]]), "joined"),
    case(
        ".pt",
        "a tuple of tensors that require grad",
        pt(lambda: tuple(t.requires_grad_() for t in tensor())),
        "stacked",
    ),
    refused(
        ".pt",
        "a list of vectors of two lengths",
        pt(lambda: [torch.ones(3), torch.ones(4)]),
        "a list of 2 tensors of several shapes",
    ),
    refused(
        ".pt",
        "a list of tensors and words",
        pt(lambda: [torch.ones(3), "b"]),
        "a list of 2 more than tensors",
    ),
    refused(".pt", "an empty list", pt([]), "a list of 0"),
    refused(".pt", "a number", pt(3), "holds no tensors"),
    case(
        ".pt",
        "vectors by id, {id: (d,)}",
        pt(lambda: dict(zip(IDS, tensor()))),
        "with these ids",
        (IDS, X),
    ),
    case(
        ".pt",
        "vectors by whole numbers",
        pt(lambda: dict(enumerate(tensor()))),
        "with these ids",
        ([str(k) for k in range(N)], X),
    ),
    refused(
        ".pt",
        "vectors by id, and --ids",
        lambda f: listed("i.txt", lines(IDS))(f) | pt(lambda: dict(zip(IDS, tensor())))(f),
        "names its rows itself, e.g. 'i0'",
    ),
    refused(
        ".pt",
        "vectors (1, d) by id",
        pt(lambda: {f"img{k}.jpg": torch.ones(1, 4) for k in range(20_000)}),
        r"img4.jpg \(1, 4\), and 19995 more tensors; --key",
    ),
    case(
        ".pt",
        "a nested mapping with one matrix",
        pt(lambda: {"out": {"emb": tensor()}, "epoch": 3}),
        "as it is",
    ),
    case(
        ".pt",
        "a matrix beside its labels",
        pt(lambda: {"features": tensor(), "labels": torch.arange(N)}),
        "the matrix",
    ),
    case(
        ".pt",
        "one of two nested matrices, --key a.y",
        pt(lambda: {"a": {"x": torch.ones(3, 2), "y": tensor()}}, key="a.y"),
        "the selected one",
    ),
    refused(
        ".pt",
        "two matrices",
        pt(lambda: {"x": torch.ones(3, 2), "y": tensor()}),
        r"holds x \(3, 2\), y \(8, 6\); --key selects one",
    ),
    refused(
        ".pt",
        "a wrong --key",
        pt(lambda: {"x": tensor()}, key="z"),
        r"holds x \(8, 6\); --key selects one",
    ),
    refused(".pt", "a numpy array inside", pt({"a": X}), "holds numpy arrays"),
    case(".safetensors", "one tensor", safe({"f": tensor()}), "as it is"),
    case(
        ".safetensors", "vectors by id", safe(dict(zip(IDS, tensor()))), "with these ids", (IDS, X)
    ),
    case("ids", ".txt", listed("i.txt", lines(IDS)), "as they are", (IDS, X)),
    case(
        "ids",
        ".TXT without a last line end",
        listed("i.TXT", "\n".join(IDS)),
        "as they are",
        (IDS, X),
    ),
    case(
        "ids",
        ".txt with a byte order mark (Notepad, Excel)",
        listed("i.txt", b"\xef\xbb\xbf" + lines(IDS).encode()),
        "without the mark",
        (IDS, X),
    ),
    case(
        "ids",
        ".txt with Windows line ends",
        listed("i.txt", lines(IDS, "\r\n")),
        "as they are",
        (IDS, X),
    ),
    case(
        "ids",
        ".txt with blanks around the ids",
        listed("i.txt", lines(f" {i}\t" for i in IDS)),
        "without them",
        (IDS, X),
    ),
    case(
        "ids",
        ".txt in Unicode form NFD (files listed on a Mac)",
        listed("i.txt", unicodedata.normalize("NFD", lines(UMLAUT))),
        "in NFC",
        (UMLAUT, X),
    ),
    case(
        "ids",
        ".csv with a byte order mark",
        listed("i.csv", b"\xef\xbb\xbf" + lines(["id", *IDS]).encode()),
        "without the mark",
        (IDS, X),
    ),
    case(
        "ids",
        ".csv whose rows end in a comma",
        listed("i.csv", lines(["id,caption", *(f"{i},a dog," for i in IDS)])),
        "the first column",
        (IDS, X),
    ),
    case(
        "ids",
        ".csv whose rows and header end in a comma",
        listed("i.csv", lines(["id,caption,", *(f"{i},a dog," for i in IDS)])),
        "the first column",
        (IDS, X),
    ),
    case(
        "ids",
        ".csv with semicolons",
        listed("i.csv", lines(["caption;id", *(f"a dog, black;{i}" for i in IDS)])),
        "the column",
        (IDS, X),
    ),
    case(
        "ids",
        ".csv with tabs",
        listed("i.csv", lines(["caption\tid", *(f"a, dog\t{i}" for i in IDS)])),
        "the column",
        (IDS, X),
    ),
    case(
        "ids",
        ".csv with quotes, line ends in cells and empty lines",
        listed("i.csv", lines(["caption,id", *(f'"a\ndog, ""black""",{i}\n' for i in IDS)])),
        "the column",
        (IDS, X),
    ),
    case(
        "ids",
        ".csv with a column ID",
        listed("i.csv", lines([" ID ", *IDS])),
        "the column",
        (IDS, X),
    ),
    case(
        "ids",
        ".csv written from floats, 1.0",
        listed("i.csv", lines(["id", *(f"{k}.0" for k in range(N))])),
        "whole numbers",
        ([str(k) for k in range(N)], X),
    ),
    case(
        "ids",
        ".csv of words such as NA and None",
        listed("i.csv", lines(["id", "NA", "None", "nan", "null", "-", "1e5", "007", "1.50"])),
        "as they are",
        (["NA", "None", "nan", "null", "-", "1e5", "007", "1.50"], X),
    ),
    case(
        "ids",
        ".parquet",
        listed("i.parquet", parquet(pd.DataFrame({"id": IDS}))),
        "as they are",
        (IDS, X),
    ),
    case(
        "ids",
        ".parquet of whole numbers",
        listed("i.parquet", parquet(pd.DataFrame({"id": range(N)}))),
        "as text",
        ([str(k) for k in range(N)], X),
    ),
    case(
        "ids",
        ".parquet of floats that are whole",
        listed("i.parquet", parquet(pd.DataFrame({"id": np.arange(N, dtype=float)}))),
        "as whole numbers",
        ([str(k) for k in range(N)], X),
    ),
    case(
        "ids",
        ".parquet with the ids as index",
        listed("i.parquet", parquet(pd.DataFrame({"id": IDS, "x": 0}).set_index("id"))),
        "the index",
        (IDS, X),
    ),
    case(
        "ids",
        ".parquet of categories",
        listed("i.parquet", parquet(pd.DataFrame({"id": pd.Categorical(IDS)}))),
        "as text",
        (IDS, X),
    ),
    case(
        "ids",
        ".parquet of bytes",
        listed("i.parquet", parquet(pd.DataFrame({"id": [i.encode() for i in IDS]}))),
        "as text",
        (IDS, X),
    ),
    refused(
        "ids",
        ".parquet with a missing id",
        listed("i.parquet", parquet(pd.DataFrame({"id": [None, *IDS[1:]]}))),
        "i.parquet: row 0 has no id",
    ),
    refused(
        "ids",
        ".csv with an unquoted comma in one row",
        listed("i.csv", lines(["id,caption", *(f"{i},a dog" for i in IDS[1:]), "i0,a dog, black"])),
        "i.csv, line 9: 3 cells under 2 names",
    ),
    refused(
        "ids",
        ".csv with a short row",
        listed("i.csv", lines(["caption,id", *(f"a dog,{i}" for i in IDS[1:]), "i0"])),
        "i.csv, line 9: there is no id",
    ),
    refused(
        "ids",
        ".csv with two columns id",
        listed("i.csv", lines(["id,ID,Id", *(f"{i},1,2" for i in IDS)]).replace("id,", "iD,", 1)),
        "several columns 'id'",
    ),
    refused(
        "ids",
        ".csv without the column",
        listed("i.csv", lines(["name", *IDS])),
        "no column 'id', only name",
    ),
    refused(
        "ids",
        ".csv with an open quote",
        listed("i.csv", lines(["id", '"i0', *IDS[1:]])),
        "i.csv cannot be read",
    ),
    refused("ids", "an empty .csv", listed("i.csv", ""), "i.csv cannot be read"),
    refused(
        "ids", "UTF-16", listed("i.txt", lines(IDS).encode("utf-16")), "is UTF-16; save it as UTF-8"
    ),
    refused(
        "ids", "Latin-1", listed("i.txt", lines(UMLAUT).encode("latin-1")), "i.txt cannot be read"
    ),
    refused("ids", "an empty line", listed("i.txt", lines(["", *IDS[1:]])), "row 0 has no id"),
    refused("ids", "too few", listed("i.txt", lines(IDS[1:])), "i.txt has 7 rows for 8 vectors"),
    refused(
        "ids",
        "a repeated one",
        listed("i.txt", lines([IDS[1], *IDS[1:]])),
        "1 repeated ids, e.g. 'i1'",
    ),
    refused(
        "ids",
        "one in NFC and one in NFD",
        listed("i.txt", lines([*UMLAUT[1:], unicodedata.normalize("NFD", UMLAUT[1])])),
        "1 repeated ids",
    ),
    refused("ids", ".json", listed("i.json", "[]"), "read from .txt, .csv and .parquet"),
    refused("ids", "a damaged .parquet", listed("i.parquet", "PAR1"), "i.parquet cannot be read"),
    case(
        "captions",
        ".csv whose rows end in a comma",
        listed("c.csv", lines(["id,caption", *(f"{i},a dog {i}," for i in IDS)]), "captions"),
        "the column",
        (None, X, [f"a dog {i}" for i in IDS]),
    ),
    case(
        "captions",
        ".txt with U+2028 in a line",
        listed("c.txt", lines(f"a\u2028{i}" for i in IDS), "captions"),
        "as they are",
        (None, X, [f"a\u2028{i}" for i in IDS]),
    ),
    case(
        "captions",
        ".parquet with missing ones",
        listed(
            "c.parquet",
            parquet(pd.DataFrame({"caption": [None, float("nan"), "a dog", *[""] * 5]})),
            "captions",
        ),
        "empty",
        (None, X, ["", "", "a dog", *[""] * 5]),
    ),
    case(
        "concepts",
        ".csv with blanks around some and others empty",
        listed("c.csv", lines(["id,concept", "i0, dog ", *(f"{i}," for i in IDS[1:])]), "concepts"),
        "without blanks; empty",
        (None, X, ["dog", *[""] * 7]),
    ),
    case(
        "concepts",
        ".txt in Unicode form NFD (files listed on a Mac)",
        listed("c.txt", unicodedata.normalize("NFD", lines(UMLAUT)), "concepts"),
        "in NFC",
        (None, X, UMLAUT),
    ),
    refused("concepts", "too few", listed("c.txt", lines(IDS[1:]), "concepts"), "7 rows for 8"),
]


def load(arguments):
    folder = arguments["source"].parent / "bank"
    try:
        return import_bank(**arguments, folder=folder, space="mine", modality="audio")[0]
    except BaseException:
        assert not folder.exists()
        assert not [p for p in folder.parent.iterdir() if p.name.startswith(".")]
        raise


def same(bank, expected):
    ids, vectors, *captions = expected
    unit = vectors / np.abs(vectors).max(axis=1, keepdims=True)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(bank.vectors, unit, atol=2e-7)
    assert ids is None or bank.ids.tolist() == ids
    for texts in captions:  # or concepts
        assert pd.read_parquet(bank.folder / "ids.parquet").iloc[:, 1].tolist() == texts
    return True


@pytest.mark.parametrize("entry", params(TABLE))
def test_an_input_is_read_or_refused_as_the_table_says(entry, tmp_path):
    if entry.accepted and entry.expected is None:
        entry = entry._replace(expected=(None, X))
    check(entry, load, entry.make(tmp_path), same, ConfigError)


LISTS = {
    "a byte order mark": (lines(IDS).encode(), b"\xef\xbb\xbf" + lines(IDS).encode()),
    "NFC and NFD": (lines(UMLAUT).encode(), unicodedata.normalize("NFD", lines(UMLAUT)).encode()),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_same_names_in_two_spaces_meet(tmp_path, name, capsys):
    np.save(tmp_path / "a.npy", X)
    banks = []
    for place, content in enumerate(LISTS[name]):
        (tmp_path / "ids.txt").write_bytes(content)
        folder = tmp_path / f"bank{place}"
        banks.append(
            import_bank(tmp_path / "a.npy", folder, "mine", "text", ids=tmp_path / "ids.txt")[0]
        )
    left, right = aligned(*banks)
    assert len(left) == len(right) == N and np.array_equal(left, right)
    assert capsys.readouterr().out == ""


def test_names_that_are_not_normalized_on_disk_meet_too(tmp_path):
    """Item ids of a corpus are those of its files, in whatever form the file system gives them."""
    stub = type("Stub", (), {"folder": Path("x"), "__len__": lambda self: len(self.ids)})
    a, b = stub(), stub()
    a.ids, b.ids = UMLAUT, [unicodedata.normalize("NFD", i) for i in reversed(UMLAUT)]
    in_a, in_b = bank.common_ids(a, b)
    assert in_a == UMLAUT and in_b == [unicodedata.normalize("NFD", i) for i in UMLAUT]


def test_a_join_that_drops_rows_says_how_many_and_whether_case_is_the_reason(tmp_path, capsys):
    np.save(tmp_path / "a.npy", X)
    banks = []
    for place, names in enumerate((["Dog", "Cat 1", *IDS[2:]], ["dog", "cat1", *IDS[2:7], "z"])):
        (tmp_path / "ids.txt").write_text(lines(names))
        banks.append(
            import_bank(
                tmp_path / "a.npy", tmp_path / f"b{place}", "m", "text", ids=tmp_path / "ids.txt"
            )[0]
        )
    assert len(aligned(*banks)[0]) == 5
    said = capsys.readouterr().out
    assert "share 5 items; 3 of 8 and 3 of 8 are left out (2 more ids differ in case or" in said
    for place in range(2):
        (tmp_path / "ids.txt").write_text(lines(f"{'Aa'[place]}{k}" for k in range(N)))
        banks[place] = import_bank(
            tmp_path / "a.npy",
            tmp_path / f"b{place}",
            "m",
            "text",
            ids=tmp_path / "ids.txt",
            replace=True,
        )[0]
    with pytest.raises(ConfigError, match=r"share no item \(8 more ids differ in case or blanks"):
        aligned(*banks)


def files_below(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


FOREIGN = {
    "photos": {"1.jpg": b"x", "2.jpg": b"y"},
    "a web app": {"manifest.json": b'{"name": "app"}', "index.html": b"<p>"},
    "a lone manifest.json": {"manifest.json": b'{"name": "app"}'},
    "vectors without a manifest": {"vectors.npy": b"x"},
    "a bank with notes beside it": {
        "manifest.json": b"{}",
        "vectors.npy": b"x",
        "ids.parquet": b"y",
        "notes.txt": b"my thoughts",
    },
    "a bank with a foreign folder of shards": {
        "manifest.json": b"{}",
        "vectors.npy": b"x",
        "shards/mine.npz": b"z",
    },
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_no_bank_is_never_touched(tmp_path, name, replace):
    np.save(tmp_path / "a.npy", X)
    for file, content in FOREIGN[name].items():
        (tmp_path / "place" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "place" / file).write_bytes(content)
    before = files_below(tmp_path)
    with pytest.raises(ConfigError, match="place is not empty and holds no bank"):
        import_bank(tmp_path / "a.npy", tmp_path / "place", "m", "text", replace=replace)
    assert files_below(tmp_path) == before


def test_an_empty_folder_takes_a_bank_and_a_file_or_link_is_handled(tmp_path):
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "empty").mkdir()
    assert len(import_bank(tmp_path / "a.npy", tmp_path / "empty", "m", "text")[0]) == N
    with pytest.raises(ConfigError, match="is a file; a bank is a folder"):
        import_bank(tmp_path / "a.npy", tmp_path / "a.npy", "m", "text", replace=True)
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    import_bank(tmp_path / "a.npy", tmp_path / "link", "n", "text", replace=True)
    assert (tmp_path / "link").is_symlink() and Bank(tmp_path / "empty").meta["space"] == "n"


@pytest.mark.parametrize("damage", ["vectors.npy", "ids.parquet", "manifest.json"])
def test_a_damaged_imported_bank_is_named_and_can_be_replaced(tmp_path, damage):
    np.save(tmp_path / "a.npy", X)
    folder = tmp_path / "bank"
    import_bank(tmp_path / "a.npy", folder, "m", "text")
    whole = files_below(folder)
    content = bytearray(whole[damage])
    content[len(content) // 2] ^= 4
    (folder / damage).write_bytes(content)
    with pytest.raises(ConfigError, match=f"{damage} .*import it again"):
        Bank(folder)
    import_bank(tmp_path / "a.npy", folder, "m", "text", replace=True)
    assert files_below(folder) == whole


def test_a_replacement_that_was_killed_halfway_gives_the_old_bank_back(tmp_path):
    from exmcr.common.processes import signature

    np.save(tmp_path / "a.npy", X)
    folder = tmp_path / "bank"
    import_bank(tmp_path / "a.npy", folder, "m", "text")
    host = signature().split("-")[0]
    scratch = tmp_path / f".bank.{host}-{2**22 + 1}-7-0123abcd.part"  # no process has this number
    scratch.mkdir()
    folder.rename(scratch / "old")
    with pytest.raises(ConfigError, match="there is a bank"):
        import_bank(tmp_path / "a.npy", folder, "m", "text")
    assert len(Bank(folder)) == N
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npy", "bank"]


def test_an_archive_that_is_no_checkpoint_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", os.urandom(10))
    with pytest.raises(ConfigError, match=r"a\.pt"):
        import_bank(tmp_path / "a.pt", tmp_path / "bank", "m", "text")
