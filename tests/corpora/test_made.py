"""A made file or item table that has changed is noticed, and made again as it was."""

import shutil

import forked
import pandas as pd
import pytest

from exmcr import corpora
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.hashing import sha256
from exmcr.corpora import items, made


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return corpora.build("toy", tmp_path_factory.mktemp("built")).parents[1]


@pytest.fixture
def root(built, tmp_path):
    shutil.copytree(built, tmp_path / "p")
    return tmp_path / "p"


def row_of(root, suffix):
    table = pd.read_parquet(root / "data/items.parquet")
    return next(row for row in table.itertuples() if row.path.endswith(suffix))


@pytest.mark.parametrize("suffix", [".png", ".wav", ".npy"])
def test_a_flipped_bit_of_a_rendered_file_stops_later_stages_and_is_mended(root, suffix, capsys):
    whole, item = forked.tree(root), row_of(root, suffix)
    path = root / "data" / item.path
    items.load_item(item, root / "data")
    forked.flip(path, 8 * (path.stat().st_size - 5))
    with pytest.raises(ConfigError, match=f"{suffix} is damaged .*run `exmcr corpora`") as error:
        items.load_item(item, root / "data")
    assert "\n" not in str(error.value)
    capsys.readouterr()
    corpora.build("toy", root)
    assert "1 files are damaged" in capsys.readouterr().out
    assert forked.tree(root) == whole
    items.load_item(item, root / "data")


def test_a_file_that_only_an_earlier_table_listed_is_still_checked(root, capsys):
    whole, item = forked.tree(root), row_of(root, ".png")
    table = pd.read_parquet(root / "data/items.parquet")
    made.record(table[table.path != item.path], root / "data")  # as after a smaller `sample`
    path = root / "data" / item.path
    forked.flip(path, 8 * (path.stat().st_size - 5))
    corpora.build("toy", root)
    assert "1 files are damaged" in capsys.readouterr().out
    assert forked.tree(root) == whole


def test_a_missing_rendered_file_is_a_bad_item_until_it_is_made_again(root):
    whole, item = forked.tree(root), row_of(root, ".wav")
    (root / "data" / item.path).unlink()
    with pytest.raises(BadItem, match="file is missing"):
        items.load_item(item, root / "data")
    corpora.build("toy", root)
    assert forked.tree(root) == whole


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]"])
@pytest.mark.parametrize("name", ["media.json", "items.json"])
def test_a_damaged_record_is_one_line_and_deletes_nothing(root, name, content):
    whole = forked.tree(root)
    path = root / "data" / name
    path.unlink() if content is None else path.write_bytes(content)
    read = {
        "media.json": lambda: items.load_item(row_of(root, ".png"), root / "data"),
        "items.json": lambda: made.check_table(root / "data/items.parquet"),
    }[name]
    if content is None:  # of an older version
        read()
    else:
        with pytest.raises(ConfigError, match=f"{name} is damaged.*run `exmcr corpora`") as error:
            read()
        assert "\n" not in str(error.value)
    made.remove_damaged(root / "data")
    assert len(forked.tree(root)) == len(whole) - (content is None)
    corpora.build("toy", root)
    assert forked.tree(root) == whole


def test_a_changed_item_table_is_refused(root):
    path = root / "data/items.parquet"
    made.check_table(path)
    forked.flip(path, 8 * 700)
    with pytest.raises(ConfigError, match=r"items.parquet is damaged .*run `exmcr corpora`"):
        made.check_table(path)


def test_only_files_that_this_stage_makes_are_recorded_or_deleted(root):
    data = root / "data"
    (data / "paper").mkdir()
    (data / "paper/a.png").write_bytes(b"theirs")
    table = pd.DataFrame({"path": ["paper/a.png", "", "/etc/hostname", "media/none.png"]})
    made.record(table, data)
    assert "paper" not in (data / "media.json").read_text()
    made.remove_damaged(data)
    made.check("paper/a.png", data)
    assert (data / "paper/a.png").read_bytes() == b"theirs"


def test_the_item_table_is_given_the_recorded_hashes(root, tmp_path):
    data = root / "data"
    table = pd.read_parquet(data / "items.parquet")
    hashes = made.with_hashes(table, data).set_index("id").sha256
    assert (hashes[table[table.path == ""].id] == "").all()
    first = table[table.path != ""].iloc[0]
    assert hashes[first.id] == sha256(data / first.path)
    assert made.with_hashes(table, tmp_path) is table
