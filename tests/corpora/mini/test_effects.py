"""Sounds of games and programs: takes of one sound share a name; others have none."""

import pytest

from exmcr.corpora import splits
from exmcr.corpora.mini import contents, effects, soundfonts

FILES = {
    "widelands-data": ["widelands/sound/sheep_02.ogg", "widelands/sound/lobby_chat.ogg"],
    "megaglest-data": ["megaglest/bee1.wav", "megaglest/bee4.wav", "megaglest/other/bee1.wav"],
    "hedgewars-data": [
        "hedgewars/Data/Sounds/steps.ogg",
        "hedgewars/Data/Sounds/steps.txt",
        "hedgewars/Data/Sounds/voices/British/Boring.ogg",
    ],
    "lmms-common": ["lmms/samples/shapes/saw.ogg"],
}


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """The folders of the unpacked packages."""
    for package, files in FILES.items():
        for name in files:
            path = tmp_path / package / "usr/share/games" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    monkeypatch.setattr(contents, "fetch", lambda package, raw: raw / package)
    return tmp_path


def test_named_sounds_come_first_and_others_have_neither_caption_nor_concept(raw):
    found = [(item["id"], item["concept"]) for item, _ in effects.items(raw)]
    assert found == [
        ("widelands/sound/widelands/sound/sheep_02", "sheep"),
        ("megaglest/sound/megaglest/bee1", "bee"),
        ("megaglest/sound/megaglest/bee4", "bee"),
        ("megaglest/sound/megaglest/other/bee1", "bee"),
        ("hedgewars/sound/hedgewars/Data/Sounds/steps", "footstep"),
        ("widelands/sound/widelands/sound/lobby_chat", ""),
    ]
    assert all(bool(item["caption"]) == bool(item["concept"]) for item, _ in effects.items(raw))


def test_copies_of_one_recording_share_a_group(raw):
    groups = [item["group"] for item, _ in effects.items(raw) if item["source"] == "megaglest"]
    assert len(groups) == 3 and len(set(groups)) == 2


def test_held_out_sources_exist():
    sources = {*effects.COLLECTIONS, *soundfonts.FONTS, "gcompris", "tuxpaint", "opensfx"}
    assert splits.HELD_OUT.keys() <= sources
    assert set(splits.HELD_OUT.values()) == {"val", "test"}
