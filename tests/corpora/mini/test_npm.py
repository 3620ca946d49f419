"""npm packages made here, on systems with a made-up npm, a server of files, or neither."""

import hashlib
import json

import pytest
from debs import PACK, Server, entry, tar, tarfile

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini import npm
from exmcr.corpora.mini.fetching import store

NAME, ICONS = "@iconify-json/demo", json.dumps({"icons": {"cat": {"body": "<path/>"}}}).encode()


@pytest.fixture
def raw(tmp_path, pin, no_programs):
    pin(ICONS, NAME, "1.2.3", "npm")
    return tmp_path / "raw"


def package(icons=ICONS, version="1.2.3"):
    return {
        "package/icons.json": icons,
        "package/package.json": json.dumps({"version": version}).encode(),
        "package/index.js": b"process.exit(1)",
    }


@pytest.fixture
def packs(program, tmp_path_factory):
    """A function that installs a made-up npm which packs these bytes."""

    def packs(blob):
        path = tmp_path_factory.mktemp("registry") / "demo.tgz"
        path.write_bytes(blob)
        program("npm", f'echo "$@" >> {path.parent}/log; cp {path} iconify-json-demo.tgz')
        return path.parent / "log"

    return packs


@pytest.fixture
def server(raw, monkeypatch):
    with Server() as server:
        server.blobs[f"/{NAME}@1.2.3/icons.json"] = ICONS
        monkeypatch.setattr(npm, "SERVERS", (server.url,))
        yield server


PLACE = "npm/iconify-json-demo-1.2.3"


def test_icons_come_out_of_npm_pack(raw, packs):
    log = packs(PACK[".gz"](tar(package())))
    folder = npm.fetch(NAME, raw)
    assert folder == raw / PLACE and (folder / "icons.json").read_bytes() == ICONS
    assert log.read_text().startswith("pack --ignore-scripts --cache ")
    assert log.read_text().endswith(f" {NAME}@1.2.3\n")
    assert [path.name for path in (raw / "npm").iterdir()] == ["iconify-json-demo-1.2.3"]
    assert [path.name for path in folder.iterdir()] == ["icons.json"]


@pytest.mark.parametrize(
    "blob",
    [
        PACK[".gz"](tar(package(b"{}"))),
        PACK[".gz"](tar({"package/index.js": b""})),
        PACK[".gz"](tar([(entry("package/icons.json", tarfile.SYMTYPE, "/etc/passwd"), b"")])),
        PACK[".gz"](tar(package()))[:-50],
        b"<html>",
        None,
    ],
    ids=["other icons", "no icons", "a link", "cut", "a page", "no npm"],
)
def test_the_server_of_files_is_used_where_npm_fails(raw, packs, server, blob):
    if blob is not None:
        packs(blob)
    assert (npm.fetch(NAME, raw) / "icons.json").read_bytes() == ICONS
    assert len(server.requests) == 1
    assert [path.name for path in (raw / "npm").iterdir()] == ["iconify-json-demo-1.2.3"]


def test_a_file_that_the_user_supplied_is_used(raw):
    (raw / PLACE).mkdir(parents=True)
    (raw / PLACE / "icons.json").write_bytes(ICONS)
    assert npm.fetch(NAME, raw) == raw / PLACE


@pytest.mark.parametrize("present", [b"", b"{}", ICONS[:-1], ICONS[:-1] + b"x"])
def test_a_damaged_file_is_replaced(raw, server, present):
    (raw / PLACE).mkdir(parents=True)
    (raw / PLACE / "icons.json").write_bytes(present)
    assert (npm.fetch(NAME, raw) / "icons.json").read_bytes() == ICONS


def test_without_a_source_the_error_says_what_to_put_where(raw):
    with pytest.raises(ConfigError) as failure:
        npm.fetch(NAME, raw)
    text = str(failure.value)
    assert f"put icons.json of this version into {raw}/{PLACE}/" in text
    assert hashlib.sha256(ICONS).hexdigest() in text and f"--accept {NAME}" in text


def test_a_package_that_the_lock_lacks_is_an_error(raw):
    with pytest.raises(ConfigError, match="'@a/b' is not in .*exmcr data --accept @a/b"):
        npm.fetch("@a/b", raw)


def test_drafts_of_a_killed_run_are_removed(raw, server):
    draft = raw / "npm/.pack.0123abcd-1-1-0123abcd.part"
    draft.mkdir(parents=True)
    (draft / "demo.tgz").write_bytes(b"half")
    with store.locked(raw):
        pass
    assert not draft.exists()
