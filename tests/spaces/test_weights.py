"""`exmcr weights` without a network: the table, resume and hashes against a server on this machine."""

import errno
import http.server
import io
import pickle
import re
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from exmcr.commands import main as cli
from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.spaces import clap, clip, downloads, weights
from exmcr.spaces.downloads import git_blob


def packed(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


CONTENT = packed({"a": torch.arange(250_000.0)})
OTHER = packed({"a": -torch.arange(250_000.0)})  # of the same length


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`, with ranges and versions; misbehaves as the server's fields say.

    limit     breaks off after so many bytes of the file
    resumes   answers ranges
    tag       ETag, or "" for none; date: Last-Modified
    obeys     whether If-Range is obeyed; without it, any range is answered
    sized     whether Content-Length is sent; chunked: in chunks, without a last one if limited
    shift     added to the begin of a range that is answered
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, headers = self.server, self.headers
        server.ranges.append(headers.get("Range"))
        self.close_connection = True
        if self.path != "/file.pt":
            return self.send_error(404)
        wanted = headers.get("If-Range") in (None, server.tag, server.date) or not server.obeys
        start = 0
        if "Range" in headers and server.resumes and wanted:
            start = int(re.match(r"bytes=(\d+)-", headers["Range"]).group(1))
        if start and start >= len(server.content):
            return self.send_error(416)
        start += server.shift if start else 0
        body = server.content[start : server.limit]
        self.send_response(206 if start else 200)
        for name, value in (("ETag", server.tag), ("Last-Modified", server.date)):
            if value:
                self.send_header(name, value)
        if start:
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            last = b"" if server.limit else b"0\r\n\r\n"
            body = b"%x\r\n%s\r\n%s" % (len(body), body, last)
        elif server.sized:
            self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.ranges, server.limit, server.content, server.shift = [], None, CONTENT, 0
    server.resumes = server.obeys = server.sized = True
    server.chunked, server.tag, server.date = False, '"one"', ""
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
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


def interrupted(server, limit=1000, **fields):
    """A first attempt at the file that breaks off."""
    server.limit = limit
    with pytest.raises(ConfigError, match=r"cannot fetch file.pt: .*; by hand: take it from"):
        weights.fetch(example(server, **fields))
    server.limit = None


def test_a_broken_download_is_resumed(server, folder):
    server.limit = 300_000
    weight = example(server)
    with pytest.raises(ConfigError, match=f"300000 of {len(CONTENT)} bytes.*example.org/page"):
        weights.fetch(weight)
    assert not (folder / "file.pt").exists() and not (folder / "SHA256SUMS").exists()
    server.limit = None
    assert weights.fetch(weight).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "file.pt"]
    assert weights.fetch(weight) and len(server.ranges) == 2, "it is here"


@pytest.mark.parametrize(
    "situation",
    [
        {"resumes": False},
        {"tag": "", "date": ""},
        {"tag": 'W/"weak"'},
        {"obeys": False, "tag": '"two"', "content": OTHER},
        {"tag": '"two"', "content": OTHER},
        {"tag": "", "date": "Sat, 21 Nov 2026 10:00:00 GMT", "content": OTHER},
        {"content": CONTENT[:500] + OTHER[500:], "tag": '"two"'},
        {"chunked": True},
        {"sized": False},
    ],
    ids=str,
)
def test_what_arrives_is_one_version_of_the_file(server, folder, situation):
    """After an interruption, whatever the server does and whether its file has changed."""
    interrupted(server)
    for name, value in situation.items():
        setattr(server, name, value)
    assert weights.fetch(example(server)).read_bytes() == server.content


def test_a_weak_or_missing_version_is_not_resumed_and_a_date_is(server, folder):
    for tag, date, resumed in [
        ('W/"a"', "", False),
        ("", "", False),
        ("", "Fri, 20 Nov 2026 10:00:00 GMT", True),
    ]:
        server.tag, server.date = tag, date
        interrupted(server)
        path = weights.fetch(example(server))
        assert path.read_bytes() == CONTENT
        assert (server.ranges[-1] == "bytes=1000-") == resumed
        path.unlink()


def test_another_range_than_the_missing_one_is_not_appended(server, folder):
    interrupted(server)
    server.shift = 7
    assert weights.fetch(example(server)).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", None]


@pytest.mark.parametrize("how", ["sized", "chunked"])
def test_an_early_end_without_a_length_is_noticed(server, folder, how):
    server.sized, server.chunked, server.limit = False, how == "chunked", len(CONTENT) - 10
    with pytest.raises(ConfigError, match="first part of a weight file|the connection ended"):
        weights.fetch(example(server))
    server.limit = None
    assert weights.fetch(example(server)).read_bytes() == CONTENT


@pytest.mark.parametrize("there", [b"other", b"x" * (len(CONTENT) + 10)])
def test_a_part_of_unknown_origin_is_not_continued(server, folder, there):
    folder.mkdir()
    (folder / "file.pt.part").write_bytes(there)
    assert weights.fetch(example(server)).read_bytes() == CONTENT and server.ranges == [None]


def test_a_part_that_is_too_long_starts_again(server, folder):
    interrupted(server)
    (folder / "file.pt.part").write_bytes(b"x" * (len(CONTENT) + 10))
    assert weights.fetch(example(server)).read_bytes() == CONTENT


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name, content in members.items():
            # Of a fixed time: the bytes are part of the names of tests.
            opened.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def old_pt():
    file = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


HEADER = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
TENSORS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(8)
FLIPPED = CONTENT[:5000] + bytes([CONTENT[5000] ^ 1]) + CONTENT[5001:]
WRONG = [
    ("file.pt", b"<!DOCTYPE html><html>Sign in", "web page.*sign-in"),
    ("file.pt", b"\xef\xbb\xbf\n <HTML><body>", "web page"),
    ("file.pt", b"<?xml version='1.0'?><Error><Code>AccessDenied", "web page"),
    ("file.pt", b'{"error": "Repository not found"}', "message.*Repository not found"),
    ("file.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "LFS"),
    ("file.pt", b"", "empty answer"),
    ("file.pt", b"404: Not Found", "not a plain weight file|cannot be read"),
    ("file.pt", CONTENT[: len(CONTENT) // 2], "only the first part"),
    ("file.pt", FLIPPED, "checksum of .* is wrong"),
    ("file.pt", archive(a="b"), "torch did not write"),
    ("file.pt", old_pt()[:-8], "cannot be read|not a plain"),
    ("file.pt", pickle.dumps(print), "not a plain weight file|cannot be read"),
    ("a.safetensors", b"<html>", "web page"),
    ("a.safetensors", b'{"error": 1}', "message instead"),
    ("a.safetensors", TENSORS[:-1], "69 bytes instead of the 70"),
    ("a.safetensors", TENSORS + b"x", "71 bytes instead of the 70"),
    ("a.safetensors", TENSORS[:30], "header cannot be read"),
    ("a.safetensors", b"\xff" * 8 + HEADER, "header cannot be read"),
    ("a.safetensors", (2).to_bytes(8, "little") + b"[]", "header cannot be read"),
    ("vocab.json", b'{"error": "gated"}', "no vocabulary"),
    ("vocab.json", b"[1]", "no vocabulary"),
    ("vocab.json", b'{"a": 1', "no JSON"),
    ("vocab.json", b"{}", "no vocabulary"),
    ("config.json", b'{"error": "gated"}', "no settings"),
    ("config.json", b"[1]", "no settings"),
    ("config.json", b'{"a": 1', "no JSON"),
    ("merges.txt", b"Entry not found", "two tokens a line"),
    ("merges.txt", b"a b\nc\n", "two tokens a line"),
    ("merges.txt", b"\xff\xfe", "UTF-8"),
]


@pytest.mark.parametrize(("file", "body", "reason"), WRONG, ids=lambda v: repr(v)[:40])
def test_a_body_that_is_no_weight_file_is_refused_before_it_is_recorded(
    server, folder, file, body, reason
):
    server.content = body
    with pytest.raises(ConfigError, match=reason) as error:
        weights.fetch(example(server)._replace(file=file))
    assert "by hand: take it from" in str(error.value) and "\n" not in str(error.value)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "body"),
    [
        ("file.pt", CONTENT),
        ("file.pt", old_pt()),
        ("a.safetensors", TENSORS),
        ("roberta-base/vocab.json", b'{"<s>": 0, "a": 1}'),
        ("clap-htsat-fused/config.json", b'{"model_type": "clap"}'),
        ("roberta-base/merges.txt", "#version: 0.2\n\u0120 t\n\u0120 a\n".encode()),
    ],
    ids=lambda v: repr(v)[:30],
)
def test_weight_files_of_every_kind_are_taken(server, folder, file, body):
    server.content = body
    assert weights.fetch(example(server)._replace(file=file)).read_bytes() == body


def test_a_file_of_another_published_hash_is_refused_and_never_recorded(server, folder, tmp_path):
    (tmp_path / "theirs").write_bytes(CONTENT)
    git = subprocess.run(
        ["git", "hash-object", str(tmp_path / "theirs")], capture_output=True, text=True
    ).stdout.strip()
    assert git_blob(tmp_path / "theirs") == git
    right = example(server, git=git, sha256=sha256(tmp_path / "theirs"))
    server.content = OTHER
    for weight in (right, right._replace(git=""), right._replace(sha256="")):
        with pytest.raises(ConfigError, match="file.pt was not taken and was deleted: .*expected"):
            weights.fetch(weight)
        assert list(folder.iterdir()) == []
    server.content = CONTENT
    path = weights.fetch(right._replace(sha256=""))
    assert weights.check(right, path) == "checked"
    path.write_bytes(OTHER)
    with pytest.raises(ConfigError, match=f"git names it .*expected {git}; delete it"):
        weights.check(right, path)


def test_published_hashes_and_revisions_are_of_the_right_form():
    for weight in weights.WEIGHTS:
        assert re.fullmatch("[0-9a-f]{64}|", weight.sha256)
        assert re.fullmatch("[0-9a-f]{40}|", weight.git)
        assert re.fullmatch("[0-9a-f]{40}|main", weight.revision)
        assert bool(weight.git) == (weight.space == "projectors")


def test_a_damaged_list_of_hashes_is_named(server, folder):
    path = weights.fetch(example(server))
    (folder / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(ConfigError, match="SHA256SUMS is damaged: 'nonsense'; delete the line"):
        weights.check(example(server), path)


def test_two_downloads_of_one_file_at_once_leave_one_whole_file(server, folder):
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: weights.fetch(example(server)), range(2)))
    assert (folder / "file.pt").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "file.pt"]


def test_a_full_disk_is_one_line_and_the_part_stays(server, folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_receive", lambda *_: full())
        with pytest.raises(ConfigError, match="cannot fetch file.pt: .*No space left"):
            weights.fetch(example(server))
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
    stated = {"etag": sha256(tmp_path / "original"), "commit_hash": "c0ffee"}
    revisions = []

    def load(repo, path, repo_type, revision, local_dir):
        revisions.append(revision)
        (local_dir / path).write_bytes(CONTENT)
        return str(local_dir / path)

    monkeypatch.setattr(
        "huggingface_hub.get_hf_file_metadata", lambda url: type("Metadata", (), stated)
    )
    monkeypatch.setattr("huggingface_hub.hf_hub_download", load)
    weight = weights.named("630k-fusion-best")
    assert weights.fetch(weight) == folder / "630k-fusion-best.pt"
    assert sorted(path.name for path in folder.iterdir()) == ["630k-fusion-best.pt", "SHA256SUMS"]
    assert revisions == ["c0ffee"], "the commit that the hash belongs to"
    (folder / "630k-fusion-best.pt").unlink()
    stated["etag"] = git_blob(tmp_path / "original")  # as the hub states it for small files
    weights.fetch(weight)
    (folder / "630k-fusion-best.pt").unlink()
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
        "clap-hf",
        "ulip2",
        "openshape",
        "projectors",
    }
    assert len({weight.file for weight in weights.WEIGHTS}) == len(weights.WEIGHTS)
    assert all(bool(weight.repo) != bool(weight.url) for weight in weights.WEIGHTS)


def test_files_in_the_cache_of_the_hub_are_found(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "blob").write_bytes(b"x")
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repo, path, repo_type, revision: str(tmp_path / "blob") if "large" in repo else None,
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
    for name in ("mine.pt", "model.safetensors", "other/model.safetensors"):
        assert weights.license_of(folder / name).startswith("not known")
    assert weights.license_of(folder / "clap-htsat-fused/model.safetensors") == "Apache-2.0"


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


def test_loads_from_the_hub_name_a_revision(folder, tmp_path, monkeypatch):
    calls = []

    def load(repository, filename=None, revision=None):
        calls.append((repository, filename, revision))
        return tmp_path / "file"

    monkeypatch.setattr("open_clip.pretrained.download_pretrained_from_hf", load)
    openai = {"hf_hub": "timm/vit_base_patch32_clip_224.openai/"}
    assert clip._find("ViT-B-32-quickgelu", "openai", openai, folder) == tmp_path / "file"
    clip._find("ViT-B-32-quickgelu", "openai", openai, folder, revision="mine")
    clip._find("ViT-B-32", "laion2b", {"hf_hub": "laion/CLIP/weights.bin"}, folder)
    row = weights.named("ViT-B-32-openai.safetensors")
    assert calls == [
        (row.repo, row.path, row.revision),
        (row.repo, row.path, "mine"),
        ("laion/CLIP", "weights.bin", "main"),
    ]


def test_the_tokenizer_from_the_hub_is_of_the_revision_in_the_table(folder, monkeypatch):
    calls = []

    def load(source, **options):
        calls.append((source, options))
        raise OSError("no such file")

    monkeypatch.setattr("transformers.RobertaTokenizer.from_pretrained", load)
    with pytest.raises(ConfigError, match="no tokenizer at FacebookAI/roberta-base"):
        clap._load_tokenizer(None)
    revision = weights.named("roberta-base/vocab.json").revision
    assert calls == [("FacebookAI/roberta-base", {"revision": revision})] and len(revision) == 40
