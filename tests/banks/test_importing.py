"""Embeddings computed elsewhere become a bank like any other, or are refused with a reason."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from exmcr.banks import Bank, aligned, importing
from exmcr.banks.importing import import_bank
from exmcr.commands import main as cli
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.model.exmcr import ExMCR
from exmcr.model.parts import Base, Leaf
from exmcr.pairing import pairs
from exmcr.pairing.pools import Pools
from exmcr.training.fit import fit_projector


def rows(n=40, dim=6, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(path, vectors):
    if path.suffix == ".npy":
        np.save(path, vectors)
    elif path.suffix == ".safetensors":
        save_file({"features": torch.from_numpy(vectors)}, path)
    else:
        torch.save(
            {"features": torch.from_numpy(vectors)}
            if "dict" in path.name
            else torch.from_numpy(vectors),
            path,
        )
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors", "a.pt", "dict.pt"])
def test_every_format_gives_the_bank(tmp_path, name, monkeypatch):
    monkeypatch.setattr(importing, "ROWS", 7)  # several blocks, the last one short
    bank, changed = import_bank(
        write(tmp_path / name, rows()), tmp_path / "bank", "mine", "audio", progress=False
    )
    assert changed == 0 and isinstance(bank.vectors, np.memmap) and bank.vectors.dtype == np.float32
    np.testing.assert_allclose(bank.vectors, rows(), atol=1e-6)
    stem = name.split(".")[0]
    assert (
        bank.ids[:2].tolist() == [f"{stem}/0", f"{stem}/1"] and bank.fingerprint == "imported:mine"
    )
    assert bank.meta["modality"] == "audio" and bank.meta["source"]["file"] == name
    Bank(tmp_path / "bank", verify=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "bank"])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_rows_are_scaled_and_counted(tmp_path, dtype):
    vectors = rows().astype(dtype)
    vectors[3] *= 2
    vectors[7] *= 0.5
    bank, changed = import_bank(
        write(tmp_path / "a.npy", vectors), tmp_path / "bank", "mine", "text"
    )
    assert changed == 2 == bank.meta["source"]["scaled"]
    np.testing.assert_allclose(np.linalg.norm(bank.vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(bank.vectors, rows(), atol=1e-3)
    with pytest.raises(ConfigError, match="row 3 has norm 2 instead of 1"):
        import_bank(tmp_path / "a.npy", tmp_path / "strict", "mine", "text", strict=True)
    assert not (tmp_path / "strict").exists()


def test_bfloat16_and_transposed_tensors_are_read(tmp_path):
    save_file({"f": torch.from_numpy(rows()).bfloat16()}, tmp_path / "a.safetensors")
    bank, _ = import_bank(tmp_path / "a.safetensors", tmp_path / "half", "mine", "text")
    assert (np.asarray(bank.vectors) * rows()).sum(axis=1).min() > 0.9999
    torch.save(torch.from_numpy(rows()).T.contiguous().T, tmp_path / "t.pt")
    np.testing.assert_allclose(
        import_bank(tmp_path / "t.pt", tmp_path / "turned", "mine", "text")[0].vectors,
        rows(),
        atol=1e-6,
    )
    np.save(tmp_path / "f.npy", np.asfortranarray(rows()))
    np.testing.assert_allclose(
        import_bank(tmp_path / "f.npy", tmp_path / "columns", "mine", "text")[0].vectors,
        rows(),
        atol=1e-6,
    )


def test_a_key_selects_one_of_several_tensors(tmp_path):
    torch.save(
        {"image": torch.from_numpy(rows()), "text": torch.from_numpy(rows(9)), "epoch": 3},
        tmp_path / "a.pt",
    )
    for key in (None, "audio", "epoch"):
        with pytest.raises(ConfigError, match=r"holds image \(40, 6\), text \(9, 6\); --key"):
            import_bank(tmp_path / "a.pt", tmp_path / "bank", "mine", "text", key=key)
    assert (
        len(import_bank(tmp_path / "a.pt", tmp_path / "bank", "mine", "text", key="text")[0]) == 9
    )


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((0, 6), np.float32), r"must hold vectors \(n, d\), its shape is \(0, 6\)"),
        (np.zeros(6, np.float32), r"its shape is \(6,\)"),
        (np.zeros((2, 3, 4), np.float32), r"its shape is \(2, 3, 4\)"),
        (np.float32(3), r"its shape is \(\)"),
        (np.ones((4, 6), np.int64), "must hold floats, not int64"),
        (np.ones((4, 6), complex), "must hold floats, not complex"),
        (np.array([["a"]]), "must hold floats"),
        (np.vstack([rows(3), np.full((2, 6), np.nan)]), "row 3 is NaN or infinite, and 1 more"),
        (np.vstack([rows(3), np.full((1, 6), np.inf)]), "row 3 is NaN or infinite"),
        (np.vstack([np.zeros((1, 6)), rows(3)]), "row 0 is zero"),
    ],
)
def test_files_without_usable_vectors_are_refused(tmp_path, vectors, message):
    np.save(tmp_path / "a.npy", vectors)
    with pytest.raises(ConfigError, match=message):
        import_bank(tmp_path / "a.npy", tmp_path / "bank", "mine", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"], "nothing half-made is left"


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_refused_and_do_not_run(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Harm(tmp_path / "harm")], object), allow_pickle=True)
    torch.save({"f": torch.ones(2, 2), "more": Harm(tmp_path / "harm")}, tmp_path / "a.pt")
    for name in ("a.npy", "a.pt"):
        with pytest.raises(ConfigError, match=name):
            import_bank(tmp_path / name, tmp_path / "bank", "mine", "text")
    assert not (tmp_path / "harm").exists()
    torch.load(tmp_path / "a.pt", weights_only=False)  # it would have
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors", "a.pt"])
def test_truncated_missing_and_foreign_files_are_refused(tmp_path, name):
    blob = write(tmp_path / name, rows(400)).read_bytes()
    for keep in (0, 20, len(blob) // 2):
        (tmp_path / name).write_bytes(blob[:keep])
        with pytest.raises(ConfigError, match=name):
            import_bank(tmp_path / name, tmp_path / "bank", "mine", "text")
    (tmp_path / name).unlink()
    with pytest.raises(ConfigError, match="no file"):
        import_bank(tmp_path / name, tmp_path / "bank", "mine", "text")
    (tmp_path / "a.bin").write_bytes(blob)
    with pytest.raises(ConfigError, match="read from .npy, .safetensors and .pt"):
        import_bank(tmp_path / "a.bin", tmp_path / "bank", "mine", "text")


def test_ids_and_captions_are_read_from_lists(tmp_path):
    write(tmp_path / "a.npy", rows(3))
    (tmp_path / "ids.txt").write_text("one\ntwo\nthree\n")
    pd.DataFrame({"id": [10, 11, 12], "caption": ["a dog", "NA", ""]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    pd.DataFrame({"id": ["x", "y", "z"]}).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "captions.txt").write_text("a\u2028dog, barking\nb\nc")
    for file, expected in (
        ("ids.txt", ["one", "two", "three"]),
        ("t.csv", ["10", "11", "12"]),
        ("t.parquet", ["x", "y", "z"]),
    ):
        bank, _ = import_bank(
            tmp_path / "a.npy",
            tmp_path / "bank",
            "mine",
            "text",
            ids=tmp_path / file,
            captions=tmp_path / "t.csv",
            replace=True,
        )
        assert bank.ids.tolist() == expected
        assert pd.read_parquet(tmp_path / "bank/ids.parquet").caption.tolist() == [
            "a dog",
            "NA",
            "",
        ]
    bank, _ = import_bank(
        tmp_path / "a.npy",
        tmp_path / "bank",
        "mine",
        "text",
        captions=tmp_path / "captions.txt",
        replace=True,
    )
    assert pd.read_parquet(tmp_path / "bank/ids.parquet").caption.tolist() == [
        "a\u2028dog, barking",
        "b",
        "c",
    ]
    np.testing.assert_allclose(bank.take(["a/2", "a/0"]), rows(3)[[2, 0]], atol=1e-6)


def test_a_failed_replacement_keeps_the_old_bank(tmp_path):
    write(tmp_path / "a.npy", rows())
    import_bank(tmp_path / "a.npy", tmp_path / "bank", "mine", "text")
    write(tmp_path / "b.npy", np.vstack([rows(3), np.zeros((1, 6))]))
    with pytest.raises(ConfigError, match="row 3 is zero"):
        import_bank(tmp_path / "b.npy", tmp_path / "bank", "mine", "text", replace=True)
    assert len(Bank(tmp_path / "bank", verify=True)) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npy", "bank"]


def test_lists_that_do_not_fit_are_refused(tmp_path):
    write(tmp_path / "a.npy", rows(3))
    (tmp_path / "two.txt").write_text("one\ntwo\n")
    (tmp_path / "again.txt").write_text("one\ntwo\none\n")
    (tmp_path / "latin.txt").write_bytes(b"\xe9\n\n\n")
    (tmp_path / "other.csv").write_text("name\na\nb\nc\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "no.parquet").write_text("no")
    (tmp_path / "a.json").write_text("[]")
    for file, message in (
        ("two.txt", "two.txt has 2 rows for 3 vectors"),
        ("again.txt", "1 repeated ids, e.g. 'one'"),
        ("latin.txt", "cannot be read"),
        ("other.csv", "no column 'id', only name"),
        ("empty.csv", "cannot be read"),
        ("no.parquet", "cannot be read"),
        ("a.json", "read from .txt, .csv and .parquet"),
        ("none.txt", "no file"),
    ):
        with pytest.raises(ConfigError, match=message):
            import_bank(tmp_path / "a.npy", tmp_path / "bank", "mine", "text", ids=tmp_path / file)
    with pytest.raises(ConfigError, match="modality is one of"):
        import_bank(tmp_path / "a.npy", tmp_path / "bank", "mine", "smell")
    for space in ("", "a/b", "..", ".a", "a b", "a\\b", "a.", "a\n", "x" * 101, "\u00fc"):
        with pytest.raises(ConfigError, match="space .* cannot be the name of a folder"):
            import_bank(tmp_path / "a.npy", tmp_path / "bank", space, "text")
    assert not (tmp_path / "bank").exists()


def test_the_command_imports_a_bank_and_replaces_it_only_if_told(tmp_path, monkeypatch, capsys):
    shutil.copy(project_root(Path(__file__).parent) / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.npy", 3 * rows())
    command = [
        "import-bank",
        "a.npy",
        "--space",
        "my-clap",
        "--modality",
        "audio",
        "--split",
        "test",
    ]
    assert cli.main(command) == 0
    assert (
        "40 vectors of 6 dimensions, 40 scaled to unit norm; fingerprint imported:my-clap"
        in capsys.readouterr().out
    )
    assert len(Bank(tmp_path / "banks/my-clap/audio/test")) == 40
    assert cli.main(command) == 2
    assert "--replace puts the new one in its place" in capsys.readouterr().err
    assert cli.main([*command, "--replace", "--fingerprint", "abc"]) == 0
    assert Bank(tmp_path / "banks/my-clap/audio/test").fingerprint == "abc"


def test_imported_banks_train_a_projector_and_are_searched(tmp_path):
    """From files of features to pseudo-pairs, a projector and a search."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0].astype(np.float32)
    things = {
        name: rows(n, 12, seed)
        for name, n, seed in (
            ("sound", 300, 1),
            ("word", 400, 2),
            ("picture", 300, 3),
            ("new", 20, 4),
        )
    }
    order = rng.permutation(400)
    files = {
        "l/audio": things["sound"],
        "l/text": things["word"],
        "l/new": things["new"],
        "b/text": (things["word"] @ turn)[order],
        "b/image": things["picture"] @ turn,
    }
    made = {}
    for name, vectors in files.items():
        path = write(tmp_path / f"{name.replace('/', '-')}.npy", vectors)
        ids = tmp_path / "ids.csv"
        names = order if name == "b/text" else range(len(vectors))
        pd.DataFrame({"id": [f"{name[2:]}/{n}" for n in names]}).to_csv(ids, index=False)
        modality = {"new": "audio"}.get(name[2:], name[2:])
        made[name], _ = import_bank(
            path, tmp_path / name, {"l": "my-leaf", "b": "my-base"}[name[0]], modality, ids=ids
        )
    o_leaf, o_base = aligned(made["l/text"], made["b/text"])
    pools = Pools(made["l/audio"].vectors, o_leaf, o_base, made["b/image"].vectors)
    pool = pairs.union(
        [pairs.quadruples(pools, center, 0.02) for center in ("overlap", "leaf", "base")]
    )
    settings = {
        "steps": 120,
        "batch": 256,
        "lr": 1e-3,
        "weight_decay": 0.01,
        "noise": 0.0,
        "lambda": 0.1,
        "tau2": 0.05,
        "terms": ["x-o", "o-o", "x-y", "o-y"],
        "overlap_through_fl": False,
    }
    projector, _ = fit_projector(pool, settings, seed=0, progress=False, device=torch.device("cpu"))
    base = Base("my-base", "imported:my-base", 12, ("image", "text"))
    extended = ExMCR(
        base,
        [Leaf("sound", "audio", "text", "my-leaf", "imported:my-leaf", 12, {0: projector})],
        device="cpu",
    )
    queries = extended.project("sound", made["l/new"])
    found = extended.search(
        queries, np.concatenate([things["new"] @ turn, made["b/image"].vectors]), k=1
    )
    assert (found.indices[:, 0] == np.arange(20)).mean() > 0.8  # of 320; chance is 0.003
    with pytest.raises(ConfigError, match="imported:my-leaf; bank .* fingerprint imported:my-base"):
        extended.project(
            "sound", import_bank(tmp_path / "l-new.npy", tmp_path / "x", "my-base", "audio")[0]
        )
    with pytest.raises(
        ConfigError, match="unknown space 'my-leaf'"
    ):  # vectors of it were imported, but it has no encoder
        extended.encode({"audio": [(np.ones(100), 8000)]})
