"""Whatever happens to a bank in the making or a finished one, `extract` ends with the right bank."""

import os
import resource
import shutil
import time

import forked
import numpy as np
import pandas as pd
import pytest
from letters import Letters, load, make, moody, table

from exmcr.banks import Bank, shards, storage
from exmcr.banks.importing import import_bank
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.files import write_json

ITEMS = table(60)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of the undamaged bank of ITEMS, two of which cannot be used."""
    folder = tmp_path_factory.mktemp("whole") / "b"
    make(Letters(), ITEMS, folder, load=moody)
    return forked.tree(folder)


@pytest.fixture
def folder(tmp_path, whole):
    """A copy of the undamaged bank."""
    (tmp_path / "b").mkdir()
    for name, content in whole.items():
        (tmp_path / "b" / name).write_bytes(content)
    return tmp_path / "b"


def extract(folder, space=None, **more):
    return make(space or Letters(), ITEMS, folder, load=moody, **more)


BITS = [(name, bit) for name in storage.FILES for bit in (3, 2000, 5003, 8001, 11_502)]


@pytest.mark.parametrize("name, bit", BITS)
def test_a_bank_with_a_flipped_bit_is_refused_and_made_again(folder, whole, name, bit, capsys):
    assert set(whole) == set(storage.FILES)
    forked.flip(folder / name, bit)
    with pytest.raises(ConfigError, match=f"{name} .*run `exmcr extract`") as error:
        Bank(folder)
    assert "\n" not in str(error.value)
    space = Letters()
    bank = extract(folder, space)
    assert forked.tree(folder) == whole and len(bank) == 58 and len(space.encoded) == 58
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and name in said and "making it again" in said


DAMAGE = {
    "cut vectors": ("vectors.npy", lambda c: c[:-40]),
    "no vectors": ("vectors.npy", lambda c: None),
    "cut ids": ("ids.parquet", lambda c: c[:-10]),
    "no ids": ("ids.parquet", lambda c: None),
    "empty ids": ("ids.parquet", lambda c: b""),
    "cut manifest": ("manifest.json", lambda c: c[:80]),
    "empty manifest": ("manifest.json", lambda c: b""),
    "a manifest that is a list": ("manifest.json", lambda c: b"[1]"),
    "a manifest of zeros": ("manifest.json", lambda c: bytes(len(c))),
    "a manifest that is not UTF-8": ("manifest.json", lambda c: b"\xff" + c),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_bank_with_a_broken_file_is_refused_and_made_again(folder, whole, damage):
    name, edit = DAMAGE[damage]
    content = edit(whole[name])
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=f"{name} .*run `exmcr extract`") as error:
        Bank(folder)
    assert "\n" not in str(error.value)
    extract(folder)
    assert forked.tree(folder) == whole


@pytest.mark.parametrize("other", ["fewer items", "another file of each kind"])
def test_a_bank_put_together_from_two_is_refused_and_made_again(tmp_path, folder, whole, other):
    if other == "fewer items":
        make(Letters(), ITEMS.iloc[:22], tmp_path / "c")
    else:
        make(Letters(), table(60, "other").assign(caption="a word"), tmp_path / "c")
    for name in ("vectors.npy", "ids.parquet"):
        shutil.copy(tmp_path / "c" / name, folder / name)
        with pytest.raises(ConfigError, match="damaged or was exchanged"):
            Bank(folder)
    extract(folder)
    assert forked.tree(folder) == whole


def test_a_bank_whose_counts_do_not_close_is_made_again(folder, whole, capsys):
    """22 of 60 vectors under the right items: what two runs at once once left."""
    meta = Bank(folder).meta
    part = Bank(folder)
    keep = list(part.ids[:22])
    storage.write_vectors(folder, [part.take(keep)], (22, meta["dim"]))
    rest = {k: v for k, v in meta.items() if "sha256" not in k and k != "digest"}
    storage.finish(folder, pd.DataFrame({"id": keep}), rest | {"n": 22})
    assert len(Bank(folder)) == 22, "each file is what its manifest says"
    extract(folder)
    assert forked.tree(folder) == whole
    assert "has 22 vectors and 2 skipped items for 60 items; making it" in capsys.readouterr().out


def interrupted(folder, after=4):
    """A run that stops after some shards."""
    with pytest.raises(RuntimeError, match="went away"):
        extract(folder, Letters(fail_after=after))
    return folder / "shards"


SHARDS = {
    "cut": lambda path, c: path.write_bytes(c[:-30]),
    "empty": lambda path, c: path.write_bytes(b""),
    "a flipped bit in the vectors": lambda path, c: forked.flip(path, 8 * c.index(b"NUMPY") + 1500),
    "text": lambda path, c: path.write_text("PK half"),
    "another shard": lambda path, c: shutil.copy(path.with_name("000000020.npz"), path),
    "fewer rows": lambda path, c: resaved(path, lambda v, i: (v[:-1], i[:-1])),
    "more vectors than ids": lambda path, c: resaved(path, lambda v, i: (v, i[:-1])),
    "rows in another order": lambda path, c: resaved(path, lambda v, i: (v[::-1], i[::-1])),
    "another dimension": lambda path, c: resaved(path, lambda v, i: (v[:, :2], i)),
    "float64": lambda path, c: resaved(path, lambda v, i: (v.astype(float), i)),
    "of another run": lambda path, c: resaved(path, lambda v, i: (v, i), plan="another"),
}


def resaved(path, edit, **more):
    with np.load(path) as content:
        parts = {name: content[name] for name in content.files}
    parts["vectors"], parts["ids"] = edit(parts["vectors"], parts["ids"])
    np.savez(path, **parts | more)


@pytest.mark.parametrize("damage", SHARDS)
def test_a_damaged_or_foreign_shard_is_made_again(tmp_path, whole, damage, capsys):
    path = interrupted(tmp_path / "b") / "000000010.npz"
    SHARDS[damage](path, path.read_bytes())
    space = Letters()
    extract(tmp_path / "b", space)
    assert forked.tree(tmp_path / "b") == whole
    assert len(space.encoded) == 60 - 30 - 1, "three good shards are kept; one item is unusable"
    said = capsys.readouterr().out
    assert said.count("its items are encoded again") == 1 and "000000010.npz" in said


@pytest.mark.parametrize("plan", [b"", b"{", b"[1]", b"\xff", None])
def test_a_damaged_plan_starts_again(tmp_path, whole, plan):
    interrupted(tmp_path / "b")
    path = tmp_path / "b/plan.json"
    path.unlink() if plan is None else path.write_bytes(plan)
    if plan is None:
        with pytest.raises(ConfigError, match="is of no bank; move it away"):
            extract(tmp_path / "b")
        shutil.rmtree(tmp_path / "b")
    extract(tmp_path / "b")
    assert forked.tree(tmp_path / "b") == whole


def test_what_a_kill_between_manifest_and_cleaning_leaves_is_deleted(folder, whole):
    (folder / "shards").mkdir()
    (folder / "shards/000000000.npz").write_bytes(b"x")
    write_json(folder / "plan.json", {})
    space = Letters()
    extract(folder, space)
    assert forked.tree(folder) == whole and not space.calls
    assert not (folder / "shards").exists()


def test_files_that_are_not_ours_stay(tmp_path, whole):
    folder = tmp_path / "b"
    interrupted(folder)
    for name in ("notes.txt", "shards/mine.npz", "shards/1.npz"):
        (folder / name).write_text("mine")
    changed = Letters()
    changed.fingerprint = "f2"
    extract(folder, changed)
    kept = forked.tree(folder)
    assert {name for name in kept if kept[name] == b"mine"} == {
        "notes.txt",
        "shards/mine.npz",
        "shards/1.npz",
    }


@pytest.mark.parametrize("damaged", [False, True])
def test_imported_embeddings_are_never_replaced(tmp_path, damaged):
    np.save(tmp_path / "a.npy", np.eye(4))
    import_bank(tmp_path / "a.npy", tmp_path / "b", "letters", "text", fingerprint="f1")
    if damaged:
        forked.flip(tmp_path / "b/manifest.json", 100)
    before = forked.tree(tmp_path)
    with pytest.raises(ConfigError, match="holds imported embeddings, which `exmcr extract` does"):
        extract(tmp_path / "b")
    assert forked.tree(tmp_path) == before


def test_items_that_were_unusable_are_loaded_again_after_their_repair(tmp_path):
    def torn(item):
        if item.id in ("item/003", "item/035"):
            raise BadItem("torn")
        return item.caption

    with pytest.raises(ConfigError, match=r"2 of 39 items .* unusable"):
        make(Letters(), table(39), tmp_path / "b", load=torn)
    space = Letters()
    bank = make(space, table(39), tmp_path / "b")
    assert len(bank) == 39 and bank.meta["skipped"] == []
    assert len(space.encoded) == 10 + 9, "two of four shards had been good"


def test_a_run_with_too_many_unusable_items_stops_early(tmp_path):
    def broken(item):
        raise BadItem("torn")

    seen = []
    with pytest.raises(ConfigError, match=r"10 of 60 items .* the first is item/000: torn"):
        make(Letters(), ITEMS, tmp_path / "b", load=lambda i: seen.append(i.id) or broken(i))
    assert len(seen) <= 40


def test_a_changed_file_makes_the_bank_anew_if_the_item_table_knows_its_hash(tmp_path):
    items = ITEMS.assign(sha256="a")
    make(Letters(), items, tmp_path / "b")
    space = Letters()
    make(space, items, tmp_path / "b")
    assert not space.calls
    items.loc[3, "sha256"] = "b"
    make(space, items, tmp_path / "b")
    assert len(space.encoded) == 60


class Slow(Letters):
    def encode_batch(self, modality, items):
        time.sleep(0.02)
        return super().encode_batch(modality, items)


def clean(folder):
    def work():
        shutil.rmtree(folder, ignore_errors=True)

    return work


def test_runs_that_are_killed_at_any_moment_leave_the_right_bank(tmp_path, whole):
    folder = tmp_path / "banks/b"
    statuses = forked.kill_at_random(lambda: extract(folder, Slow()), clean(folder.parent), times=9)
    assert any(status != 0 for status in statuses)
    extract(folder)
    assert forked.tree(folder.parent) == {f"b/{name}": whole[name] for name in whole}


def test_runs_at_once_make_one_right_bank_and_no_item_twice(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("exmcr.common.locks.PAUSE", 0.005)
    folder, counts = tmp_path / "banks/b", tmp_path / "counts"
    counts.mkdir()

    def work():
        space = Slow()
        assert len(extract(folder, space)) == 58
        (counts / str(os.getpid())).write_text(str(len(space.encoded)))

    children = [forked.start(work) for _ in range(3)]
    assert [forked.result(pid) for pid in children] == [0, 0, 0]
    assert forked.tree(folder.parent) == {f"b/{name}": whole[name] for name in whole}
    assert sorted(int(path.read_text()) for path in counts.iterdir()) == [0, 0, 58]


@pytest.mark.parametrize("limit", [100, 4000])
def test_a_full_disk_stops_extraction_in_one_line_and_loses_nothing(tmp_path, limit):
    """While a shard is written, or the merged vectors."""
    folder = tmp_path / "b"

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(ConfigError, match="cannot write .*: no space left") as error:
            make(Letters(), table(400), folder)
        assert "\n" not in str(error.value)

    assert forked.result(forked.start(work)) == 0
    assert not list(tmp_path.rglob(".*.part")) and not (folder / "manifest.json").exists()
    space = Letters()
    assert len(make(space, table(400), folder)) == 400
    assert len(space.encoded) == (400 if limit == 100 else 0)


def test_a_full_disk_stops_an_import_in_one_line_and_leaves_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(500, 8)))

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        with pytest.raises(ConfigError, match="cannot write .*: no space left"):
            import_bank(tmp_path / "a.npy", tmp_path / "banks/b", "m", "text")

    assert forked.result(forked.start(work)) == 0
    assert list(forked.tree(tmp_path)) == ["a.npy"]
    assert not (tmp_path / "banks/b").exists() and not list((tmp_path / "banks").iterdir())


def test_an_import_that_is_killed_at_any_moment_leaves_the_old_or_the_new_bank(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(60_000, 8)))
    folder = tmp_path / "banks/x"
    banks = {}
    for name in "ab":
        import_bank(tmp_path / f"{name}.npy", folder, name, "text", replace=True)
        banks[name] = forked.tree(folder)

    def replace(name):
        import_bank(tmp_path / f"{name}.npy", folder, name, "text", replace=True)

    took = forked.seconds(lambda: replace("b"))
    for turn, by in enumerate(forked.SIGNALS * 2):
        forked.killed(lambda: replace("ab"[turn % 2]), took * (0.3 + 0.12 * turn), by)
        assert not folder.exists() or forked.tree(folder) in banks.values()
    replace("a")
    assert forked.tree(folder.parent) == {f"x/{n}": c for n, c in banks["a"].items()}


def test_a_finished_bank_is_hashed_once_per_process(folder, monkeypatch):
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)  # a file that was just written is hashed again
    calls = []
    hashing = "exmcr.common.hashing.sha256"
    import exmcr.common.hashing as module

    original = module.sha256
    monkeypatch.setattr(hashing, lambda path: calls.append(path) or original(path))
    for _ in range(3):
        Bank(folder)
    assert len(calls) == 2
    forked.flip(folder / "vectors.npy", 5003)
    with pytest.raises(ConfigError, match="damaged"):
        Bank(folder)


def test_a_bank_of_an_older_version_is_opened_and_its_vectors_are_checked(folder):
    meta = Bank(folder).meta
    older = {k: v for k, v in meta.items() if k not in ("digest", "ids_sha256")}
    write_json(folder / "manifest.json", older)
    space = Letters()
    assert len(Bank(folder)) == 58 and len(extract(folder, space)) == 58 and not space.calls
    forked.flip(folder / "vectors.npy", 5003)
    with pytest.raises(ConfigError, match="vectors.npy is damaged"):
        Bank(folder)


def test_shards_are_named_so_that_they_sort(tmp_path):
    assert shards.path_of(tmp_path, 5).name == "000000005.npz"
    assert storage.SHARD.fullmatch(shards.path_of(tmp_path, 10**9 * 3).name)
    assert load(next(ITEMS.itertuples())) == "word 000"
