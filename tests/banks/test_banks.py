"""Banks: vectors come out in the order of the items, finished work is kept, errors are named."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import forked
import numpy as np
import pytest
from letters import DIM, Letters, make, moody, table, vector

from exmcr.banks import Bank, aligned
from exmcr.banks.extraction import AHEAD, extract, forget
from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.common.files import write_note
from exmcr.common.vectors import unit


@pytest.mark.parametrize("n", [1, 9, 10, 35])
def test_a_bank_holds_the_vectors_of_its_items_in_their_order(tmp_path, n):
    items = table(n)
    bank = make(Letters(), items, tmp_path / "b")
    assert len(bank) == n and list(bank.ids) == list(items.id)
    assert np.array_equal(bank.vectors, unit(np.array([vector(c) for c in items.caption])))
    assert bank.vectors.dtype == np.float32 and bank.fingerprint == "f1"
    assert np.array_equal(
        bank.take([items.id.iloc[-1], items.id.iloc[0]]), bank.vectors[[n - 1, 0]]
    )
    assert sorted(p.name for p in bank.folder.iterdir()) == [
        "ids.parquet",
        "manifest.json",
        "vectors.npy",
    ]
    meta = json.loads((bank.folder / "manifest.json").read_text())
    assert (meta["space"], meta["modality"], meta["dim"], meta["n"], meta["skipped"]) == (
        "letters",
        "text",
        DIM,
        n,
        [],
    )
    with pytest.raises(KeyError):
        bank.take(["nothing"])


def test_a_finished_bank_is_opened_as_it_is(tmp_path):
    make(Letters(), table(25), tmp_path / "b")
    again = Letters()
    assert len(make(again, table(25), tmp_path / "b")) == 25
    assert again.calls == 0
    make(again, table(25), tmp_path / "b", shard=7)
    assert again.calls == 0, "the size of shards leaves no trace in a finished bank"


def test_an_interrupted_run_encodes_only_the_rest(tmp_path):
    items = table(45)
    with pytest.raises(RuntimeError, match="went away"):
        make(Letters(fail_after=3), items, tmp_path / "b")
    with pytest.raises(ConfigError, match="exmcr extract"):
        Bank(tmp_path / "b")
    second = Letters()
    bank = make(second, items, tmp_path / "b")
    assert second.encoded == list(items.caption[30:]) and second.calls == 2
    assert np.array_equal(bank.vectors, make(Letters(), items, tmp_path / "c").vectors)


@pytest.mark.parametrize("change", ["fingerprint", "item", "caption"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_bank_of_another_plan_is_made_anew(tmp_path, change, finished):
    items, space = table(25), Letters()
    if finished:
        make(Letters(), items, tmp_path / "b")
    else:
        with pytest.raises(RuntimeError):
            make(Letters(fail_after=1), items, tmp_path / "b")
    if change == "fingerprint":
        space.fingerprint = "f2"
    elif change == "item":
        items = table(26)
    else:
        items.loc[0, "caption"] = "another"
    bank = make(space, items, tmp_path / "b")
    assert space.encoded == list(items.caption)
    assert bank.fingerprint == space.fingerprint and len(bank) == len(items)


def test_bad_items_are_skipped_counted_and_named(tmp_path):
    bank = make(Letters(), table(40), tmp_path / "b", load=moody)
    assert bank.meta["skipped"] == [
        {"id": i, "reason": f"{i} is torn"} for i in ("item/003", "item/017")
    ]
    assert len(bank) == 38 and not {"item/003", "item/017"} & set(bank.ids)
    assert np.array_equal(bank.take(["item/018"])[0], unit(vector("word 018")[None])[0])


def test_a_shard_may_consist_of_bad_items_only(tmp_path):
    bank = make(Letters(), table(40), tmp_path / "b", load=moody, shard=1)
    assert len(bank) == 38


def test_too_many_bad_items_are_an_error_that_names_one(tmp_path):
    with pytest.raises(ConfigError, match=r"2 of 39 items .* more than 5%.*item/003 is torn") as e:
        make(Letters(), table(39), tmp_path / "b", load=moody)
    assert "\n" not in str(e.value)
    assert len(make(Letters(), table(39), tmp_path / "b", load=moody, max_bad=0.06)) == 37


def test_errors_other_than_bad_items_are_not_swallowed(tmp_path):
    def broken(item):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make(Letters(), table(5), tmp_path / "b", load=broken)


def test_errors_for_no_items_and_for_no_bank_say_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="corpora"):
        make(Letters(), table(0), tmp_path / "b")
    with pytest.raises(ConfigError, match="exmcr extract"):
        Bank(tmp_path / "b")


def test_a_flipped_byte_is_found(tmp_path):
    bank = make(Letters(), table(20), tmp_path / "b")
    assert len(Bank(bank.folder, verify=True)) == 20
    blob = bytearray((bank.folder / "vectors.npy").read_bytes())
    blob[-3] ^= 1
    (bank.folder / "vectors.npy").write_bytes(blob)
    with pytest.raises(ConfigError, match=r"vectors.npy is damaged .* run `exmcr extract`"):
        Bank(bank.folder, verify=True)
    assert len(Bank(bank.folder, verify=False)) == 20


def test_aligned_gives_the_common_items_row_by_row(tmp_path):
    first, second = table(12), table(20).iloc[::-1].iloc[:15]  # 019 down to 005
    a, b = make(Letters(), first, tmp_path / "a"), make(Letters(), second, tmp_path / "b")
    left, right = aligned(a, b)
    expected = unit(np.array([vector(f"word {i:03d}") for i in range(5, 12)]))
    assert np.array_equal(left, expected) and np.array_equal(right, expected)
    with pytest.raises(ConfigError, match="share no item"):
        aligned(a, make(Letters(), table(3, "other"), tmp_path / "c"))


def test_a_bank_of_another_corpus_is_deleted_and_an_imported_one_stays(tmp_path, capsys):
    bank = make(Letters(), table(3), tmp_path / "b")
    meta = json.loads((bank.folder / "manifest.json").read_text())
    del meta["digest"]
    write_note(bank.folder / "manifest.json", meta | {"source": {"file": "a.npy"}})
    forget(bank.folder)
    assert len(Bank(bank.folder)) == 3 and capsys.readouterr().out == ""
    write_note(bank.folder / "manifest.json", meta)
    forget(bank.folder)
    assert not bank.folder.exists() and str(bank.folder) in capsys.readouterr().out
    forget(bank.folder)  # nothing there, nothing done


SLOW = """
    import sys, time
    sys.path.insert(0, {tests!r})
    from letters import Letters, make, table

    class Slow(Letters):
        def encode_batch(self, modality, items):
            print(len(self.encoded), flush=True)
            time.sleep(0.15)
            return super().encode_batch(modality, items)

    make(Slow(), table(400), {folder!r})
"""


def test_kill_9_loses_one_shard_at_most(tmp_path):
    code = textwrap.dedent(
        SLOW.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path / "b"))
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:  # it prints how many items are done when it begins a shard
        started = int(line)
        if started >= 70:
            break
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    rest = Letters()
    bank = make(rest, table(400), tmp_path / "b")
    assert len(rest.encoded) <= 400 - started
    assert list(bank.ids) == list(table(400).id)
    assert np.array_equal(bank.vectors, unit(np.array([vector(c) for c in table(400).caption])))


def test_a_half_written_shard_is_ignored(tmp_path):
    with pytest.raises(RuntimeError):
        make(Letters(fail_after=2), table(30), tmp_path / "b")
    (tmp_path / "b/shards/000000020.part").write_bytes(b"PK half")
    assert len(make(Letters(), table(30), tmp_path / "b")) == 30


def test_loading_runs_in_several_threads_and_ahead_of_the_encoder(tmp_path):
    threads, ahead, started = set(), [], []

    def slow(item):
        threads.add(threading.get_ident())
        started.append(item.id)
        time.sleep(0.005)
        return item.caption

    class Watching(Letters):
        def encode_batch(self, modality, items):
            time.sleep(0.1)
            ahead.append(len(started) - len(self.encoded) - len(items))
            return super().encode_batch(modality, items)

    bank = make(Watching(), table(60), tmp_path / "b", load=slow)
    assert list(bank.ids) == list(table(60).id)
    assert len(threads) >= 2
    assert max(ahead) > 10, "more than a shard is loaded while one is encoded"
    assert max(ahead) <= AHEAD * 10


def test_encoded_items_leave_the_memory(tmp_path):
    alive, most = set(), []

    def loaded(item):
        array = np.array([[1, 2, 3], [4, 5, int(item.id[-3:])]], np.float32)
        alive.add(item.id)
        weakref.finalize(array, alive.discard, item.id)
        most.append(len(alive))
        return array

    class Slow(Letters):
        modalities = ("points",)

        def encode_batch(self, modality, items):
            time.sleep(0.03)
            return np.stack([cloud.flat[2:] for cloud in items])

    bank = extract(Slow(), "points", table(200), tmp_path / "b", loaded, shard=10, progress=False)
    assert len(bank) == 200
    assert max(most) <= (AHEAD + 2) * 10, (
        "the one encoded, those ahead of it, and one that takes the place of the last"
    )


def test_a_shard_of_large_items_is_encoded_in_parts_with_the_same_bank(tmp_path, monkeypatch):
    calls = []

    def cloud(item):
        number = int(item.id[-3:])
        return np.full((100 if number % 3 else 900, 3), number + 1, np.float32)

    class Clouds(Letters):
        modalities = ("points",)

        def encode_batch(self, modality, items):
            calls.append((len(items), sum(item.nbytes for item in items)))
            return np.stack([item[0, 0] + np.arange(self.dim) for item in items])

    banks = []
    for limit in (1 << 30, 30_000):
        monkeypatch.setattr("exmcr.media.limits.CHUNK", limit)
        folder = tmp_path / str(limit)
        banks.append(
            extract(Clouds(), "points", table(40), folder, cloud, shard=20, progress=False)
        )
        if limit > 30_000:
            assert [n for n, _ in calls] == [20, 20]
            calls.clear()
    assert len(calls) > 4 and max(size for _, size in calls) < 30_000 + 900 * 12
    assert sum(n for n, _ in calls) == 40
    for name in ("vectors.npy", "ids.parquet"):
        assert (banks[0].folder / name).read_bytes() == (banks[1].folder / name).read_bytes()


class Dying(Letters):
    """Kills its process on rank 1 before its third shard."""

    def encode_batch(self, modality, items):
        if self.calls == 2 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        return super().encode_batch(modality, items)


def one_of_two(folder, space):
    with distributed.torchrun() as group:
        bank = make(space, table(95), folder / "b", load=moody, group=group)
        (folder / f"encoded-{distributed.rank(group)}.json").write_text(json.dumps(space.encoded))
        assert len(bank) == 93


def test_two_processes_of_which_one_is_killed_make_the_bank_of_one(tmp_path):
    def launch(space):
        return forked.ranks(lambda: one_of_two(tmp_path, space()))

    assert launch(Dying)[1] == -signal.SIGKILL
    kept = {path.stem for path in (tmp_path / "b/shards").glob("*.npz")}
    assert {"000000010", "000000030"} <= kept, "what the killed rank had written"
    assert len(kept) < 10
    assert launch(Letters) == [0, 0]
    first, second = (json.loads((tmp_path / f"encoded-{rank}.json").read_text()) for rank in (0, 1))
    done = [
        caption for start in map(int, kept) for caption in table(95).caption[start : start + 10]
    ]
    assert first and second and not set(first) & set(second)
    assert not set(done) & {*first, *second}, "nothing is encoded twice"
    alone = make(Letters(), table(95), tmp_path / "c", load=moody)
    for name in ("vectors.npy", "ids.parquet", "manifest.json"):
        assert (tmp_path / "b" / name).read_bytes() == (alone.folder / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == [
        "ids.parquet",
        "manifest.json",
        "vectors.npy",
    ]
