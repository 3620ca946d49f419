"""A lock keeps others out as long as its holder lives, and says who that is."""

import json
import os
import signal
import time

import forked
import pytest

from exmcr.common import locks
from exmcr.common.locks import locked


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(locks, "PAUSE", 0.005)


def test_the_file_names_the_holder_and_goes_with_the_lock(tmp_path):
    path = tmp_path / "new/.a.lock"
    with locked(path, "stage pair"):
        holder = json.loads(path.read_text())
        assert holder["pid"] == os.getpid() and holder["what"] == "stage pair" and holder["host"]
    assert not path.exists()
    with pytest.raises(KeyError), locked(path, "x"):
        raise KeyError
    assert not path.exists()


def test_processes_take_turns(tmp_path):
    def add():
        for _ in range(10):
            with locked(tmp_path / "lock", "counting"):
                number = int((tmp_path / "n").read_text())
                time.sleep(0.001)
                (tmp_path / "n").write_text(str(number + 1))

    (tmp_path / "n").write_text("0")
    children = [forked.start(add) for _ in range(4)]
    assert [forked.result(pid) for pid in children] == [0] * 4
    assert (tmp_path / "n").read_text() == "40"
    assert [p.name for p in tmp_path.iterdir()] == ["n"]


def holding(path, ready):
    def work():
        with locked(path, "bank b"):
            ready.touch()
            time.sleep(60)

    return work


def until(path):
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("by", forked.SIGNALS)
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, by):
    pid = forked.start(holding(tmp_path / "lock", tmp_path / "ready"))
    until(tmp_path / "ready")
    os.kill(pid, by)
    status = forked.result(pid)
    assert status == (130 if by == signal.SIGINT else -by)
    assert (tmp_path / "lock").exists() == (by == signal.SIGKILL)
    with locked(tmp_path / "lock", "next"):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "lock").exists()


def test_who_waits_says_for_whom_and_goes_on_when_it_is_free(tmp_path, capfd):
    pid = forked.start(holding(tmp_path / "lock", tmp_path / "ready"))
    until(tmp_path / "ready")

    def second():
        with locked(tmp_path / "lock", "bank b"):
            (tmp_path / "done").touch()

    other = forked.start(second)
    time.sleep(0.1)
    assert not (tmp_path / "done").exists()
    os.kill(pid, signal.SIGKILL)
    assert forked.result(pid) == -signal.SIGKILL and forked.result(other) == 0
    said = capfd.readouterr().err
    assert said.count("waiting for") == 1
    assert f"exmcr: bank b: waiting for process {pid} on" in said and "lock)" in said


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pid": 3}'])
def test_a_lock_file_of_any_content_is_taken_over_if_nobody_holds_it(tmp_path, content):
    (tmp_path / "lock").write_text(content)
    with locked(tmp_path / "lock", "x"):
        assert json.loads((tmp_path / "lock").read_text())["what"] == "x"


def test_a_worker_does_not_keep_the_lock_of_its_killed_parent(tmp_path):
    def parent():
        with locked(tmp_path / "lock", "x"):
            worker = forked.start(lambda: time.sleep(30))
            (tmp_path / "ready").write_text(str(worker))
            time.sleep(30)

    pid = forked.start(parent)
    end = time.monotonic() + 20
    while not (tmp_path / "ready").exists() or not (tmp_path / "ready").read_text():
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    forked.result(pid)
    worker = int((tmp_path / "ready").read_text())
    os.kill(worker, 0)  # it lives
    with locked(tmp_path / "lock", "x"):
        pass
    os.kill(worker, signal.SIGKILL)


def test_in_a_folder_that_cannot_be_written_nothing_is_locked(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with locked(tmp_path / "lock", "x"):
        assert not (tmp_path / "lock").exists()
