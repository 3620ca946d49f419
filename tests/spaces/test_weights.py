"""`exmcr weights` without a network: the table, resume and hashes against a server on this machine."""

import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from exmcr.commands import main as cli
from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.spaces import weights

CONTENT = bytes(range(256)) * 4000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges; breaks off after `server.limit` bytes if that is set."""

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        if self.path != "/file.pt":
            return self.send_error(404)
        start = (
            int(re.match(r"bytes=(\d+)-", self.headers["Range"]).group(1))
            if "Range" in self.headers and self.server.resumes
            else 0
        )
        if start >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.server.limit])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.ranges, server.limit, server.resumes = [], None, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}/file.pt"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: None)
    return tmp_path / "weights"


def example(server, **fields):
    return weights.Weight(
        "file.pt", "clip", 1, "MIT", "https://example.org/page", url=server.url, **fields
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    """No EXMCR_WEIGHTS, a user with the cache of `tmp_path`/cache, and a current folder outside of any project."""
    monkeypatch.delenv("EXMCR_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_the_folder_is_that_of_the_variable_else_of_the_project_else_the_users_cache(
    home, monkeypatch
):
    assert weights.folder() == home / "cache/exmcr/weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(home / "me"))
    assert weights.folder() == home / "me/.cache/exmcr/weights"
    project = home / "project"
    (project / "notebooks").mkdir(parents=True)
    (project / "params.yaml").touch()
    assert weights.folder(project) == project / "weights"
    for current in (project, project / "notebooks"):
        monkeypatch.chdir(current)
        assert weights.folder() == project / "weights"
    monkeypatch.setenv("EXMCR_WEIGHTS", str(home / "mine"))
    assert weights.folder() == home / "mine" == weights.folder(project)
    monkeypatch.setenv("EXMCR_WEIGHTS", "")
    assert weights.folder() == project / "weights"


def test_the_folder_is_never_inside_the_installed_package(home, monkeypatch):
    package = Path(weights.__file__).resolve().parents[1]
    for current in (home / "elsewhere", Path("/")):
        monkeypatch.chdir(current)
        assert package.parent not in weights.folder().resolve().parents
        assert "site-packages" not in str(weights.folder())


def test_a_file_is_fetched_into_a_folder_that_does_not_exist_yet(server, home):
    path = weights.fetch(example(server))
    assert path == home / "cache/exmcr/weights/file.pt" and path.read_bytes() == CONTENT


def test_a_broken_download_is_resumed(server, folder):
    weight = example(server)
    server.limit = 300_000
    with pytest.raises(
        ConfigError, match="by hand: take it from https://example.org/page and put it at"
    ):
        weights.fetch(weight)
    assert not (folder / "file.pt").exists() and (folder / "file.pt.part").stat().st_size == 300_000
    server.limit = None
    assert weights.fetch(weight).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"] and not (folder / "file.pt.part").exists()
    assert weights.locate(weight) == folder / "file.pt"


@pytest.mark.parametrize("there", [b"other", b"x" * (len(CONTENT) + 10)])
def test_servers_without_ranges_and_parts_too_long_start_again(server, folder, there):
    folder.mkdir()
    (folder / "file.pt.part").write_bytes(there)
    server.resumes = len(there) > len(CONTENT)
    assert weights.fetch(example(server)).read_bytes() == CONTENT


def test_the_hash_of_each_file_is_kept(server, folder):
    first = weights.fetch(example(server))
    (folder / "other.pt").write_bytes(b"other")
    other = example(server)._replace(file="other.pt")
    assert weights.check(other, folder / "other.pt") == "recorded"
    lines = [f"{sha256(first)}  file.pt", f"{sha256(folder / 'other.pt')}  other.pt"]
    assert (folder / "SHA256SUMS").read_text().splitlines() == lines
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder).returncode == 0
    assert weights.check(example(server), first) == "checked"


def test_hashes_are_recorded_then_checked(server, folder):
    weight = example(server)
    path = weights.fetch(weight)
    assert (folder / "SHA256SUMS").read_text() == f"{sha256(path)}  file.pt\n"
    assert weights.check(weight, path) == "checked"
    path.write_bytes(b"changed")
    with pytest.raises(ConfigError, match="delete it and fetch it again"):
        weights.check(weight, path)
    with pytest.raises(ConfigError, match="expected " + "0" * 64):
        weights.fetch(example(server, sha256="0" * 64))


def test_errors_of_the_network_say_how_to_place_the_file_by_hand(server, folder):
    missing = example(server)._replace(url=server.url + "x")
    with pytest.raises(ConfigError, match="404.*by hand"):
        weights.fetch(missing)
    with pytest.raises(ConfigError, match="by hand: take it from .* and put it at"):
        weights.fetch(missing._replace(url="http://127.0.0.1:9/file.pt"))


def test_the_hash_stated_by_the_hub_is_checked_and_a_damaged_file_is_refused(
    folder, tmp_path, monkeypatch
):
    (tmp_path / "original").write_bytes(CONTENT)
    stated = {"etag": sha256(tmp_path / "original")}

    def load(repo, path, repo_type, local_dir):
        (local_dir / path).write_bytes(CONTENT)
        return str(local_dir / path)

    monkeypatch.setattr(
        "huggingface_hub.get_hf_file_metadata", lambda url: type("Metadata", (), stated)
    )
    monkeypatch.setattr("huggingface_hub.hf_hub_download", load)
    weight = weights.named("630k-fusion-best")
    assert weights.fetch(weight) == folder / "630k-fusion-best.pt"
    assert sorted(path.name for path in folder.iterdir()) == ["630k-fusion-best.pt", "SHA256SUMS"]
    stated["etag"] = "0" * 64
    with pytest.raises(ConfigError, match="arrived damaged"):
        weights.fetch(weight)
    assert not (folder / "630k-fusion-best.pt").exists()

    def offline(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", offline)
    with pytest.raises(ConfigError, match="ConnectionError.*put it at"):
        weights.fetch(weight)


def test_the_table_lists_every_file_and_where_to_put_missing_ones(folder, capsys):
    (folder / "roberta-base").mkdir(parents=True)
    (folder / "roberta-base/vocab.json").write_text("{}")
    assert cli.main(["weights"]) == 0
    out = capsys.readouterr().out
    for weight in weights.WEIGHTS:
        assert weight.file in out and weight.page in out and weight.note
    assert (
        re.search(r"roberta-base/vocab.json .*yes\n", out)
        and f"Put pointbert_ULIP-2.pt at {folder}/pointbert_ULIP-2.pt" in out
    )
    assert "Put roberta-base/vocab.json" not in out


def test_the_table_covers_every_space_and_each_file_has_one_source():
    assert {weight.space.split()[0] for weight in weights.WEIGHTS} == {
        "clip",
        "clap",
        "ulip2",
        "projectors",
    }
    assert len({weight.file for weight in weights.WEIGHTS}) == len(weights.WEIGHTS)
    assert all(bool(weight.repo) != bool(weight.url) for weight in weights.WEIGHTS)


def test_files_in_the_cache_of_the_hub_are_found(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "blob").write_bytes(b"x")
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repo, path, repo_type: str(tmp_path / "blob") if "large" in repo else None,
    )
    assert cli.main(["weights"]) == 0
    assert re.search(r"ViT-L-14-openai.safetensors .*in the hub's cache\n", capsys.readouterr().out)


def test_fetching_and_checking_from_the_command_line(server, folder, monkeypatch, capsys):
    monkeypatch.setattr(
        weights,
        "WEIGHTS",
        (example(server), example(server)._replace(file="other.pt", url=server.url + "x")),
    )
    assert cli.main(["weights", "--fetch", "file.pt"]) == 0
    assert cli.main(["weights", "--check", "file.pt"]) == 0
    assert cli.main(["weights", "--fetch"]) == 1
    out = capsys.readouterr().out
    assert (
        "file.pt: fetched" in out
        and "file.pt: checked" in out
        and "file.pt: was here" in out
        and "cannot fetch other.pt" in out
    )
    assert cli.main(["weights", "nonsense"]) == 2
    assert "known: file.pt, other.pt" in capsys.readouterr().err


def test_the_table_is_printed_by_python_m_exmcr(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "exmcr", "weights", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "ViT-B-32-openai.safetensors" in done.stdout
    assert (
        subprocess.run([sys.executable, "-m", "exmcr", "nonsense"], capture_output=True).returncode
        == 2
    )


def test_conversion_notices_a_changed_source(tmp_path):
    source, target = tmp_path / "a.pt", tmp_path / "a.safetensors"
    tied = torch.arange(4.0)
    torch.save(
        {"state_dict": {"module.a": tied, "module.b": tied, "module.c": tied.view(2, 2).t()}},
        source,
    )
    checkpoints.convert_once(source, target)
    first = checkpoints.load_state(target)
    assert first["b"].tolist() == [0, 1, 2, 3] and first["c"].tolist() == [[0, 2], [1, 3]]
    assert checkpoints.state_digest(first) == checkpoints.state_digest(
        checkpoints.load_state(source)
    )
    torch.save({"a": tied + 1}, source)
    checkpoints.convert_once(source, target)
    assert list(checkpoints.load_state(target)) == ["a"]
    source.unlink()
    assert checkpoints.convert_once(source, target) == target
    target.unlink()
    with pytest.raises(ConfigError, match="no weight file"):
        checkpoints.convert_once(source, target)


def test_the_license_of_a_file_is_that_of_its_row_also_after_conversion(folder):
    folder.mkdir()
    (folder / "ViT-B-32-openai.safetensors").touch()
    assert weights.license_of(folder / "ViT-B-32-openai.safetensors") == "MIT"
    assert weights.license_of(folder / "630k-fusion-best.safetensors").startswith("not stated")
    assert weights.license_of(folder / "mine.pt").startswith("not known")


def test_without_the_client_of_the_hub_files_are_found_and_a_fetch_says_what_is_missing(
    folder, monkeypatch
):
    folder.mkdir()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    weight = weights.named("630k-fusion-best")
    assert weights.locate(weight) is None
    with pytest.raises(ConfigError, match="huggingface_hub.*by hand"):
        weights.fetch(weight)
    (folder / weight.file).touch()
    assert weights.locate(weight) == folder / weight.file
