"""The feature cache of the mini spaces: nothing is computed twice, nothing half-written is believed."""

import numpy as np
import pytest

from exmcr.media.sounds import Sound
from exmcr.spaces.mini.features import Cached, content_key


class Lengths:
    """A tiny backbone: a text's features are its length and its first letter. Remembers what it was asked."""

    size, fingerprint = 2, "0123456789abcdef"

    def __init__(self):
        self.asked = []

    def __call__(self, items):
        self.asked.append(list(items))
        return np.array([[len(i), ord(i[0])] for i in items], np.float32)

    @property
    def count(self):
        return sum(map(len, self.asked))


def expected(items):
    return np.array([[len(i), ord(i[0])] for i in items], np.float32)


def test_features_come_in_the_order_of_the_items(tmp_path):
    items = ["ccc", "a", "bb", "a", "dddd"]
    got = Cached(Lengths(), tmp_path)(items)
    assert got.dtype == np.float32 and np.array_equal(got, expected(items))


def test_the_same_content_is_computed_once(tmp_path):
    backbone = Lengths()
    cached = Cached(backbone, tmp_path)
    cached(["a", "bb", "a"])
    assert backbone.count == 2
    assert np.array_equal(cached(["bb", "ccc", "a"]), expected(["bb", "ccc", "a"]))
    assert backbone.asked[1:] == [["ccc"]]


def test_batches_are_no_longer_than_asked_and_hold_equal_lengths(tmp_path):
    backbone = Lengths()
    seen = []
    Cached(backbone, tmp_path)(["a" * n for n in (5, 1, 4, 2, 3)], batch=2, progress=seen.append)
    assert [[len(i) for i in batch] for batch in backbone.asked] == [[1, 2], [3, 4], [5]]
    assert seen == [2, 2, 1]


def test_what_was_computed_survives_reopening(tmp_path):
    first = Cached(Lengths(), tmp_path)
    first(["a", "bb"])
    first(["ccc"])
    backbone = Lengths()
    assert np.array_equal(
        Cached(backbone, tmp_path)(["ccc", "a", "bb"]), expected(["ccc", "a", "bb"])
    )
    assert backbone.count == 0


def test_a_left_over_part_is_ignored(tmp_path):
    cached = Cached(Lengths(), tmp_path)
    cached(["a"])
    (cached.folder / "killed.part").write_bytes(b"PK half a file")
    backbone = Lengths()
    again = Cached(backbone, tmp_path)
    assert np.array_equal(again(["a", "bb"]), expected(["a", "bb"]))
    assert backbone.asked == [["bb"]]
    assert not [p for p in cached.folder.glob("*.part") if p.name != "killed.part"]


def test_a_failing_backbone_leaves_no_file(tmp_path):
    class Broken(Lengths):
        def __call__(self, items):
            raise RuntimeError("no")

    cached = Cached(Broken(), tmp_path)
    with pytest.raises(RuntimeError):
        cached(["a"])
    assert not list(tmp_path.rglob("*.npz"))


def test_another_backbone_has_its_own_features(tmp_path):
    Cached(Lengths(), tmp_path)(["a"])
    other = Lengths()
    other.fingerprint = "another-backbone"
    Cached(other, tmp_path)(["a"])
    assert other.count == 1


def test_keys_tell_contents_apart():
    wave = np.arange(6, dtype=np.float32)
    items = [
        "a",
        "b",
        "1",
        wave,
        wave + 1,
        wave.reshape(2, 3),
        wave.reshape(3, 2),
        wave.astype(np.int32),
        Sound(wave, 8000),
        Sound(wave, 16000),
    ]
    assert len({content_key(i) for i in items}) == len(items)
    assert content_key(wave[::2]) == content_key(wave[::2].copy()), (
        "layout in memory is not content"
    )
    assert all(len(content_key(i)) == 16 for i in items)


def flipped(content):
    place = content.index(b"NUMPY") + 130  # in the first array
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [lambda c: c[:-20], lambda c: b"", flipped])
def test_a_damaged_file_is_deleted_and_its_items_are_computed_again(tmp_path, capsys, damage):
    Cached(Lengths(), tmp_path)(["a", "bb"])
    (path,) = tmp_path.rglob("*.npz")
    Cached(Lengths(), tmp_path)(["ccc"])
    path.write_bytes(damage(path.read_bytes()))
    backbone = Lengths()
    got = Cached(backbone, tmp_path)(["a", "bb", "ccc"])
    assert np.array_equal(got, expected(["a", "bb", "ccc"])) and backbone.count == 2
    assert not path.exists() and f"{path} is damaged" in capsys.readouterr().out
