"""The data lock of the repository, and locks that are damaged."""

import re
from pathlib import Path

import pytest
import yaml

import exmcr
from exmcr.common.errors import ConfigError
from exmcr.corpora.mini.fetching import data_lock

ROOT = Path(exmcr.__file__).parents[1]
GOOD = {
    "name": "demo",
    "kind": "deb",
    "version": "1:1.0-1",
    "file": "demo_1%3a1.0-1_all.deb",
    "size": 3,
    "sha256": "a" * 64,
    "sha1": "b" * 40,
}


def test_the_lock_of_the_repository_is_valid_and_complete():
    lock = data_lock.read()
    assert len(lock) >= 14
    for package in lock.values():
        assert package.sha1 or package.kind == "npm", (
            f"{package.name} has no address in the archive"
        )
        if package.kind == "deb":
            version = package.version.replace(":", "%3a")
            assert package.file.startswith(f"{package.name}_{version}_")


def test_every_package_that_a_source_fetches_is_in_the_lock():
    """A name is a string in a module that calls `contents.fetch` or `npm.fetch`."""
    folder = data_lock.PATH.parent
    modules = [path.read_text() for path in folder.glob("*.py")]
    literal = {
        name
        for text in modules
        for name in re.findall(r"""(?:contents|debian|npm)\.fetch\(\s*"([^"{}]+)\"""", text)
    }
    assert literal and literal <= set(data_lock.read())


def test_every_package_of_the_lock_is_used():
    folder = data_lock.PATH.parent
    text = "\n".join(path.read_text() for path in folder.glob("*.py"))
    unused = [
        name
        for name in data_lock.read()
        if name not in text and name.removesuffix("-data") not in text
    ]
    assert not unused


def test_downloaded_packages_are_those_of_the_lock():
    """Fails if data/raw was made with another lock; needs a finished run to compare anything."""
    for package in data_lock.read().values():
        path = ROOT / "data/raw/debs" / package.file
        if package.kind == "deb" and path.exists():
            assert path.stat().st_size == package.size


def test_the_lock_is_written_sorted_and_read_back(pin):
    second, first = pin(b"abc", "second"), pin(b"de", "first", "1:1.0-1")
    third = pin(b"f", "@scope/third", "0.1.10", "npm")
    assert list(data_lock.read().values()) == [first, second, third]
    text = data_lock.PATH.read_text()
    assert text.startswith("# Every data package") and "sha1: ''" not in text
    pin(b"another", "second", "2.0")
    assert data_lock.read()["second"].version == "2.0" and len(data_lock.read()) == 3


def test_an_installed_lock_is_not_written(monkeypatch, tmp_path):
    package = tmp_path / "site-packages/exmcr"
    package.mkdir(parents=True)
    monkeypatch.setattr(data_lock, "PACKAGE", package)
    monkeypatch.setattr(data_lock, "PATH", package / "data.lock.yaml")
    with pytest.raises(ConfigError, match="only in a checkout"):
        data_lock.write(data_lock.Package(**GOOD))


DAMAGED = {
    "missing": None,
    "not YAML": "- [",
    "not UTF-8": b"\xff\xfe",
    "a mapping": "a: 1",
    "words": "- a",
    "number": "3",
    "empty": "",
    "another key": [GOOD | {"licence": "MIT"}],
    "without a size": [{key: value for key, value in GOOD.items() if key != "size"}],
    **{
        f"{key} {value!r}": [GOOD | {key: value}]
        for key, value in [
            ("name", "../x"),
            ("name", "a/b"),
            ("name", ".hidden"),
            ("name", 3),
            ("kind", "rpm"),
            ("version", "a/b"),
            ("version", 1.0),
            ("file", "../../x.deb"),
            ("file", "/etc/x.deb"),
            ("file", ""),
            ("size", -1),
            ("size", "3"),
            ("size", 0),
            ("sha256", "a" * 63),
            ("sha256", "A" * 64),
            ("sha1", "../x"),
        ]
    },
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_lock_is_one_error_that_names_it(monkeypatch, tmp_path, case):
    path, content = tmp_path / "data.lock.yaml", DAMAGED[case]
    monkeypatch.setattr(data_lock, "PATH", path)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="data.lock.yaml"):
        data_lock.read()
