"""Hashes that name files, code and items."""

import hashlib

import numpy as np
import pytest

from exmcr.common import hashing
from exmcr.common.hashing import code_digest, digest, sha256, stable_uniform


def test_the_hash_of_a_file_is_sha_256(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc" * 100_000)
    assert sha256(path) == sha256(str(path)) == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256(tmp_path / "none")


def test_a_digest_depends_on_parts_and_on_their_order(tmp_path):
    path = tmp_path / "a"
    path.write_text("x")
    parts = ("a", b"b", path)
    assert digest(*parts) == digest("a", "b", path), "strings are their UTF-8 bytes"
    others = [
        digest("ab", path),
        digest("", "ab", path),
        digest("b", "a", path),
        digest("a", "b"),
        digest("a", "b", "x"),
    ]
    assert len({digest(*parts), *others}) == 6
    before = digest(*parts)
    path.write_text("y")
    assert digest(*parts) != before


def test_known_digests_do_not_change():
    """Fingerprints on disk were made with them."""
    assert (
        digest("a", b"b")
        == hashlib.sha256(hashlib.sha256(b"a").digest() + hashlib.sha256(b"b").digest()).hexdigest()
    )
    assert stable_uniform("item") == int(hashlib.sha256(b"item").hexdigest()[:14], 16) / 2**56


def test_the_digest_of_code_follows_content_and_names(tmp_path, monkeypatch):
    monkeypatch.setattr(hashing, "PACKAGE", tmp_path)
    for name in ("a/one.py", "a/deep/two.py", "b/three.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}")
    fresh = code_digest.__wrapped__
    first = fresh("a")
    assert fresh("a") == first != fresh("b") and fresh("a", "b") == fresh("b", "a")
    (tmp_path / "b/three.py").write_text("# edited")
    (tmp_path / "a/notes.txt").write_text("not code")
    assert fresh("a") == first
    (tmp_path / "a/deep/two.py").write_text("# edited")
    assert (second := fresh("a")) != first
    (tmp_path / "a/deep/two.py").rename(tmp_path / "a/deep/renamed.py")
    assert fresh("a") not in (first, second)
    with pytest.raises(AssertionError, match="tarining"):
        fresh("a", "tarining")


def test_pseudo_random_numbers_are_fixed_and_uniform():
    values = np.array([stable_uniform(f"item {k}") for k in range(5000)])
    assert stable_uniform("item 7") == values[7] and len(set(values)) == 5000
    assert ((values >= 0) & (values < 1)).all()
    assert np.abs(np.histogram(values, 10, (0, 1))[0] / 500 - 1).max() < 0.15
