"""Downloads from a server on this machine, with the faults of real servers."""

import hashlib
import signal

import pytest
from debs import Server

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini.fetching import transfer

BLOB = bytes(range(256)) * 4000  # several chunks


@pytest.fixture
def server(no_programs):
    with Server(BLOB) as server:
        yield server


def request(server, target, blob=BLOB):
    url = server.url + hashlib.sha1(blob).hexdigest()
    return transfer.Request((url,), target, len(blob), hashlib.sha256(blob).hexdigest())


def download(server, target, blob=BLOB):
    """Returns the reason of the failure, or "", and the sum of the progress."""
    arrived = []
    reasons = transfer.download([request(server, target, blob)], arrived.append)
    return reasons.get(target, ""), sum(arrived)


@pytest.mark.parametrize(
    "faults, requests",
    [
        ([], 1),
        (["no length"], 1),
        (["cut"], 2),
        (["cut", "cut"], 3),
        (["503"], 2),
        (["cut", "503"], 3),
        (["cut", "no range"], 2),
        (["cut", "wrong range"], 3),
        (["cut", "416"], 3),
        (["page without length"], 3),
    ],
    ids=str,
)
def test_the_file_arrives_in_spite_of_faults(tmp_path, server, faults, requests):
    server.faults = list(faults)
    assert download(server, tmp_path / "folder/file") == ("", len(BLOB))
    assert (tmp_path / "folder/file").read_bytes() == BLOB
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    assert len(server.requests) == requests


def test_a_second_attempt_asks_only_for_the_rest(tmp_path, server):
    server.faults = ["cut"]
    download(server, tmp_path / "file")
    assert [ranged for _, ranged in server.requests] == ["", f"bytes={len(BLOB) // 2}-"]


@pytest.mark.parametrize(
    "draft, ranged",
    [
        (BLOB[:1000], "bytes=1000-"),  # of an interrupted run
        (b"x" * 1000, "bytes=1000-"),  # of another file: downloaded again from the beginning
        (b"", ""),
        (BLOB, None),  # complete, killed before the check
        (b"x" * len(BLOB), ""),
        (BLOB + b"x", ""),
    ],
    ids=["part", "foreign part", "empty", "complete", "foreign", "too long"],
)
def test_an_unfinished_download_is_continued_or_replaced(tmp_path, server, draft, ranged):
    transfer.draft_of(tmp_path / "file").write_bytes(draft)
    assert download(server, tmp_path / "file") == ("", len(BLOB))
    assert (tmp_path / "file").read_bytes() == BLOB
    assert server.requests[:1] == ([] if ranged is None else [(server.requests[0][0], ranged)])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "faults, reason, requests",
    [
        (["404"], "404", 1),
        (["403"], "403", 1),
        (["503"] * 9, "503", 3),
        (["page"], "serves 27 bytes instead of 1024000", 1),
        (["cut"] * 9, "ended after", 3),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_failure_says_why_and_leaves_no_file(tmp_path, server, faults, reason, requests):
    server.faults = list(faults)
    message, _ = download(server, tmp_path / "file")
    assert reason in message and server.url in message
    assert not (tmp_path / "file").exists() and len(server.requests) == requests


@pytest.mark.parametrize("served", [BLOB[:-1] + b"x", BLOB + b"x", BLOB[:-1]])
@pytest.mark.parametrize("fault", ["", "no length"])
def test_another_file_is_refused(tmp_path, server, served, fault):
    path = next(iter(server.blobs))
    server.blobs[path], server.faults = served, [fault] * 9
    message, _ = download(server, tmp_path / "file")
    assert "serves another file" in message or "bytes" in message
    assert not (tmp_path / "file").exists()


def test_the_second_address_is_used_if_the_first_fails(tmp_path, server):
    good = request(server, tmp_path / "file")
    both = transfer.Request(
        ("http://127.0.0.1:9/x", *good.urls), good.target, good.size, good.sha256
    )
    assert transfer.download([both], lambda size: None) == {}
    assert (tmp_path / "file").read_bytes() == BLOB


def test_many_files_are_downloaded_together(tmp_path, no_programs):
    blobs = [bytes([n]) * (n + 1) for n in range(30)]
    with Server(*blobs) as server:
        requests = [request(server, tmp_path / str(n), blob) for n, blob in enumerate(blobs)]
        arrived = []
        assert transfer.download(requests, arrived.append) == {}
    assert [(tmp_path / str(n)).read_bytes() for n in range(30)] == blobs
    assert sum(arrived) == sum(map(len, blobs))


def test_a_server_that_cannot_be_reached_is_tried_once_per_stream(
    tmp_path, no_programs, monkeypatch
):
    tried = []

    def refuse(request, timeout):
        tried.append(request.full_url)
        raise transfer.urllib.error.URLError("no route to host")

    monkeypatch.setattr(transfer.urllib.request, "urlopen", refuse)
    requests = [
        transfer.Request((f"http://127.0.0.1:9/{n}",), tmp_path / str(n), 3, "a" * 64)
        for n in range(50)
    ]
    reasons = transfer.download(requests, lambda size: None)
    assert len(reasons) == 50 and len(tried) <= transfer.STREAMS
    assert all("no route to host" in reason for reason in reasons.values())


def test_a_full_disk_is_one_error(tmp_path, server, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer._Downloads, "_receive", full)
    with pytest.raises(ConfigError, match="no space left"):
        download(server, tmp_path / "file")


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_download_is_continued(tmp_path, server, child, after):
    wanted = request(server, tmp_path / "file")
    code = f"""
transfer.CHUNK = 100_000
seen = []
def advance(size):
    seen.append(size)
    if sum(n > 0 for n in seen) > {after}:
        kill()
request = transfer.Request({wanted.urls!r}, Path({str(wanted.target)!r}), {wanted.size}, {wanted.sha256!r})
transfer.download([request], advance)
"""
    assert child(code).status() == -signal.SIGKILL and not (tmp_path / "file").exists()
    assert download(server, tmp_path / "file") == ("", len(BLOB))
    assert (tmp_path / "file").read_bytes() == BLOB
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    if after == 3:
        assert server.requests[-1][1].startswith("bytes=")


def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_part_of_the_old_one(
    tmp_path, server
):
    transfer.draft_of(tmp_path / "file").write_bytes(b"x" * 1000)
    path = next(iter(server.blobs))
    server.blobs[path] = BLOB + b"longer"
    message, _ = download(server, tmp_path / "file")
    assert "bytes instead of" in message and list(tmp_path.iterdir()) == []
