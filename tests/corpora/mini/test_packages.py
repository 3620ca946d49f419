"""All packages of the lock together, and the command `exmcr data`."""

import hashlib
import json
import shutil

import pytest
from debs import FILES, PACK, deb, tar, tree

from exmcr.commands.main import main
from exmcr.common.errors import ConfigError
from exmcr.corpora.mini import debian, npm, packages
from exmcr.corpora.mini.fetching import archives, data_lock, store

BLOBS = {name: deb(tar({f"./{name}": name.encode()}), name=name) for name in ("first", "second")}
ICONS = b'{"icons": {}}'
NEWER = deb(name="first", version="2:1.10-1")


@pytest.fixture
def raw(tmp_path, pin, no_programs):
    for name, blob in BLOBS.items():
        pin(blob, name)
    pin(ICONS, "@scope/icons", "1.2.3", "npm")
    (tmp_path / "project").mkdir()
    return tmp_path / "project/data/raw"


def put(raw, blob, name="first", version="1.0"):
    path = raw / "debs" / f"{name}_{version.replace(':', '%3a')}_all.deb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(blob)
    return path


def put_icons(raw, content=ICONS):
    path = npm.path_of(data_lock.read()["@scope/icons"], raw)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_all(raw):
    for name, blob in BLOBS.items():
        put(raw, blob, name)
    put_icons(raw)


def states(raw, function=packages.state):
    return {entry.name: function(entry, raw) for entry in packages.select()}


def test_everything_is_downloaded_with_one_progress_bar(raw, archive, monkeypatch, capsys):
    for blob in BLOBS.values():
        archive.blobs["/" + hashlib.sha1(blob).hexdigest()] = blob
    archive.blobs["/@scope/icons@1.2.3/icons.json"] = ICONS
    monkeypatch.setattr(npm, "SERVERS", (archive.url,))
    packages.download(raw)
    assert set(states(raw, packages.verify).values()) == {"verified"}
    output = capsys.readouterr().err
    assert "downloading packages: 100%" in output and len(archive.requests) == 3
    packages.download(raw)
    assert capsys.readouterr().err == "" and len(archive.requests) == 3


def test_only_what_is_missing_is_downloaded(raw, archive):
    put(raw, BLOBS["first"])
    archive.blobs["/" + hashlib.sha1(BLOBS["second"]).hexdigest()] = BLOBS["second"]
    packages.download(raw, ["first", "second"])
    assert len(archive.requests) == 1


def test_all_packages_that_cannot_be_had_are_listed_at_once(raw):
    put(raw, BLOBS["second"], "second")
    with pytest.raises(ConfigError, match="2 of 3 packages cannot be downloaded") as failure:
        packages.download(raw)
    assert "put first_1.0_all.deb" in str(failure.value)
    assert "put icons.json" in str(failure.value) and "second_" not in str(failure.value)


def test_an_unpacked_package_whose_deb_was_deleted_is_present(raw):
    put_all(raw)
    debian.fetch("first", raw)
    (raw / "debs/first_1.0_all.deb").unlink()
    assert set(states(raw).values()) == {"present"}
    assert set(states(raw, packages.verify).values()) == {"verified"}


@pytest.mark.parametrize(
    "damage, quick, thorough",
    [
        (lambda raw: None, "present", "verified"),
        (lambda raw: put(raw, BLOBS["first"][:-1]), "damaged", "damaged: first_1.0_all.deb"),
        (lambda raw: put(raw, BLOBS["first"][:-1] + b"x"), "present", "damaged: first_1.0_all.deb"),
        (lambda raw: put(raw, BLOBS["first"]).unlink(), "missing", "missing"),
    ],
    ids=["whole", "cut", "flipped", "missing"],
)
def test_the_state_of_a_package(raw, damage, quick, thorough):
    put_all(raw)
    damage(raw)
    assert states(raw) == {"first": quick, "second": "present", "@scope/icons": "present"}
    assert states(raw, packages.verify)["first"] == thorough


def test_flipped_icons_are_found(raw):
    put_all(raw)
    put_icons(raw, ICONS[:-1] + b"]")
    assert states(raw)["@scope/icons"] == "present"
    assert states(raw, packages.verify)["@scope/icons"] == "damaged: icons.json"


def test_a_flipped_bit_in_an_unpacked_file_is_found_and_mended(raw):
    put_all(raw)
    file = debian.fetch("first", raw) / "first"
    file.chmod(0o644)
    file.write_bytes(b"First")
    assert states(raw, packages.verify)["first"] == "damaged: first"
    assert (debian.fetch("first", raw) / "first").read_bytes() == b"first"
    assert states(raw, packages.verify)["first"] == "verified"


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(raw):
    with pytest.raises(ConfigError, match="no package third; it has: first, second, @scope/icons"):
        packages.select(["third"])


# another version


def test_the_newest_version_that_is_there_is_accepted(raw):
    for version in ("1.9-1", "2:1.9-1", "2:1.10-1", "3"):
        put(raw, deb(name="first", version=version), version=version)
    (raw / "debs/first_3_all.deb").unlink()
    _, entry = packages.accept("first", raw)
    assert (entry.version, entry.file) == ("2:1.10-1", "first_2%3a1.10-1_all.deb")
    assert entry.sha256 == hashlib.sha256(NEWER).hexdigest()
    assert data_lock.read()["first"] == entry and data_lock.read()["second"].version == "1.0"
    assert tree(debian.fetch("first", raw)) == {k[2:]: content for k, content in FILES.items()}


def test_another_build_of_the_same_version_is_accepted(raw):
    put(raw, deb(name="first"))
    packages.accept("first", raw)
    assert len(tree(debian.fetch("first", raw))) == len(FILES)


def test_the_version_of_apt_is_accepted(raw, apt):
    apt(NEWER, "first", "2:1.10-1")
    put(raw, BLOBS["first"])
    assert packages.accept("first", raw)[1].version == "2:1.10-1"
    assert (raw / "debs/first_2%3a1.10-1_all.deb").read_bytes() == NEWER
    assert len(list((raw / "debs").iterdir())) == 2


def test_a_new_package_is_added(raw, apt):
    apt(deb(name="third"), "third")
    packages.accept("third", raw)
    assert len(tree(debian.fetch("third", raw))) == len(FILES)


def test_the_current_version_of_an_npm_package_is_accepted(raw, program, tmp_path):
    content = {"package/icons.json": b"{}", "package/package.json": b'{"version": "2.0.0"}'}
    (tmp_path / "demo.tgz").write_bytes(PACK[".gz"](tar(content)))
    program("npm", f"cp {tmp_path}/demo.tgz .")
    _, entry = packages.accept("@scope/icons", raw)
    assert entry.version == "2.0.0" and npm.fetch("@scope/icons", raw).name == "scope-icons-2.0.0"


@pytest.mark.parametrize("name", ["first", "third", "@scope/icons"])
def test_nothing_to_accept_is_an_error(raw, name):
    put(raw, BLOBS["first"])
    before = data_lock.PATH.read_text()
    with pytest.raises(ConfigError, match=name):
        packages.accept(name, raw)
    assert data_lock.PATH.read_text() == before


def test_a_damaged_deb_is_not_accepted(raw):
    put(raw, NEWER[:100], version="2")
    with pytest.raises(ConfigError, match="first_2_all.deb is damaged"):
        packages.accept("first", raw)


def test_a_deb_of_another_package_is_not_accepted(raw):
    put(raw, deb(name="other"), version="2")
    with pytest.raises(ConfigError, match="no other version"):
        packages.accept("first", raw)


# the command


@pytest.fixture
def run(raw, monkeypatch, capsys):
    """A function that runs `exmcr data` and returns its exit status and output."""
    project = raw.parents[1]
    shutil.copy(data_lock.PACKAGE.parent / "params.yaml", project)
    monkeypatch.chdir(project)

    def run(*arguments):
        status = main(["data", *arguments])
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def test_the_command_prints_a_table(run, raw):
    put(raw, BLOBS["first"])
    status, output, _ = run()
    assert status == 0
    assert [line.split() for line in output.splitlines()] == [
        ["first", "1.0", "0.0", "present"],
        ["second", "1.0", "0.0", "missing"],
        ["@scope/icons", "1.2.3", "0.0", "missing"],
    ]
    assert run("second")[1].split()[0] == "second"


def test_the_command_verifies(run, raw):
    put_all(raw)
    assert run("--verify")[0] == 0
    put(raw, BLOBS["first"][:-1] + b"x")
    status, output, _ = run("--verify")
    assert status == 1 and "damaged: first_1.0_all.deb" in output


def test_the_command_fetches(run, raw):
    put_all(raw)
    assert run("--fetch")[0] == 0
    (raw / "debs/first_1.0_all.deb").unlink()
    status, _, error = run("--fetch")
    assert status == 2 and "put first_1.0_all.deb" in error and "Traceback" not in error


def test_the_command_accepts_another_version(run, raw):
    put(raw, NEWER, version="2:1.10-1")
    status, output, _ = run("--accept", "first")
    assert status == 0 and "first: 1.0 -> 2:1.10-1" in output
    assert data_lock.read()["first"].version == "2:1.10-1"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--accept",),
        ("--accept", "first"),
        ("unknown",),
        ("--accept", "../x"),
        ("--accept", "@a/b"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_one_error(run, arguments):
    status, _, error = run(*arguments)
    assert status == 2 and error.startswith("exmcr data: ") and "Traceback" not in error


def test_the_archive_of_a_record_is_that_of_the_lock(raw):
    put_all(raw)
    record = json.loads((debian.fetch("first", raw) / store.RECORD).read_text())
    assert record["sha256"] == data_lock.read()["first"].sha256
    assert record["digests"] == archives.unpack(raw / "debs/first_1.0_all.deb", raw / "again")
