"""From tars to banks, as a pool of millions is read: tar by tar in order, without damaged items."""

import io
import tarfile
import time

import numpy as np
import pytest
import soundfile
import yaml
from paper_trees import shard

from exmcr import config, corpora
from exmcr.banks import extraction
from exmcr.common.errors import BadItem
from exmcr.common.paths import project_root
from exmcr.media import tars
from exmcr.project import Project
from exmcr.spaces.base import Space

TARS, PER_TAR, MOST = 12, 4, 45  # more tars than stay open
BROKEN = "webdataset/webdataset/train/00004/clip-2/audio"


class Pitch(Space):
    """Encodes the pitch of a sound. Records what it encodes, and stops after some shards."""

    name, dim, modalities, fingerprint = "pitch", 2, ("audio",), "f1"

    def __init__(self, stop_after=10**9):
        self.encoded, self.stop_after = [], stop_after

    def encode_batch(self, modality, items):
        if self.stop_after == 0:
            raise KeyboardInterrupt
        self.stop_after -= 1
        vectors = [pitch(item.samples) for item in items]
        self.encoded += vectors
        return np.array(vectors)


def pitch(samples):
    angle = np.argmax(np.abs(np.fft.rfft(samples))) / 400
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def tone(tar, clip):
    file = io.BytesIO()
    soundfile.write(
        file,
        0.5 * np.sin(2 * np.pi * (10 + tar * PER_TAR + clip) * np.arange(800) / 800),
        8000,
        format="FLAC",
    )
    return file.getvalue()


def build(root, entries):
    """The project in a folder, with the item table of these lines of `paper`."""
    params = config.read(project_root() / "params.yaml") | {"corpora": "paper", "paper": entries}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    project = Project(root)
    corpora.build("paper", root, paper=project.params.paper_entries())
    return project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A pool of 45 of the 48 sounds in 12 tars, one of them damaged. `opened` lists the tars in the order of opening."""
    for tar in range(TARS):
        clips = {f"clip-{clip}.flac": tone(tar, clip) for clip in range(PER_TAR)}
        if tar == 4:
            clips["clip-2.flac"] = clips["clip-2.flac"][:60]
        shard(tmp_path / f"data/paper/webdataset/train/{tar:05d}.tar", **clips)
    entry = {"corpus": "webdataset", "split": "train", "as": "train", "keep": "audio", "most": MOST}
    project = build(tmp_path, [entry])
    project.opened, real = [], tars.Tar.__init__

    def opening(self, path):
        project.opened.append(path[-9:-4])
        time.sleep(0.02)  # long enough for every thread to need it
        real(self, path)

    tars._cached_tar.cache_clear()
    monkeypatch.setattr(tars.Tar, "__init__", opening)
    return project


def extract(project, folder, space, **more):
    return extraction.extract(
        space,
        "audio",
        project.items,
        project.root / folder,
        project.load_item,
        shard=6,
        progress=False,
        **more,
    )


def test_items_are_in_the_order_of_the_tars(project):
    places = []
    for path in project.items.path:
        shard, _, member = path.partition("::")
        with tarfile.open(project.root / "data" / shard) as tar:
            places.append((shard, tar.getmember(member).offset_data))
    assert len(places) == MOST and places == sorted(places)


def test_every_tar_is_opened_once_and_a_damaged_sound_is_skipped(project):
    bank = extract(project, "b", Pitch())
    assert project.opened == [f"{tar:05d}" for tar in range(TARS)], (
        "once each, although eight threads load a random sample"
    )
    assert BROKEN in set(project.items.id), "the sample misses the damaged sound"
    assert [bad["id"] for bad in bank.meta["skipped"]] == [
        BROKEN
    ] and "00004.tar::clip-2.flac" in bank.meta["skipped"][0]["reason"]
    assert list(bank.ids) == [id for id in project.items.id if id != BROKEN]
    for id, vector in zip(bank.ids, bank.vectors, strict=True):
        tar, clip = int(id.split("/")[3]), int(id.split("/")[4][-1])
        angle = (10 + tar * PER_TAR + clip) / 400
        np.testing.assert_allclose(vector, [np.cos(angle), np.sin(angle)], atol=1e-6)


def test_finished_shards_are_neither_opened_nor_encoded_again(project):
    with pytest.raises(KeyboardInterrupt):
        extract(project, "b", Pitch(stop_after=5))
    project.opened.clear()
    tars._cached_tar.cache_clear()
    rest = Pitch()
    bank = extract(project, "b", rest)
    needed = {path[-9:-4] for path in project.items.path.iloc[30:].str.partition("::")[0]}
    assert set(project.opened) == needed < {f"{tar:05d}" for tar in range(TARS)} and len(
        project.opened
    ) == len(needed)
    assert len(rest.encoded) == MOST - 30
    whole = extract(project, "c", Pitch())
    for name in ("vectors.npy", "ids.parquet", "manifest.json"):
        assert (bank.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_sound_in_a_truncated_tar_is_bad(project):
    item = project.items.iloc[-1]
    path = project.root / "data" / item.path.partition("::")[0]
    project.load_item(item)
    content = path.read_bytes()
    with tarfile.open(path) as tar:
        place = tar.getmember(item.path.partition("::")[2])
    path.write_bytes(content[: place.offset_data + place.size // 2])
    # The tar was truncated while it was open.
    with pytest.raises(BadItem, match=rf"only {place.size // 2} of {place.size} bytes"):
        project.load_item(item)
    tars._cached_tar.cache_clear()
    with pytest.raises(BadItem, match="cannot read .*tar is not a readable tar"):
        project.load_item(item)


def test_shards_of_one_name_in_two_folders_are_kept_apart(tmp_path):
    for folder, most in (("pool", 2), ("held_out", 3)):
        shard(
            tmp_path / f"{folder}/all/00000.tar",
            **{f"{clip}.flac": tone(0, clip) for clip in range(most)},
        )
    one = {"corpus": "webdataset", "split": "all"}
    entries = [
        one | {"as": "train", "keep": "audio", "folder": "pool"},
        one | {"as": "test", "folder": "held_out"},
    ]
    assert build(tmp_path, entries).items.split.value_counts().to_dict() == {
        "test": 3,
        "train": 2,
    }
