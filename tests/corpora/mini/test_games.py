"""The sounds of games: takes of one sound share a name; sounds without a name are not used."""

import pytest

from exmcr.corpora.mini import games
from exmcr.corpora.mini.concepts import concept_of, named_sounds

FILES = {
    "widelands": [
        "widelands/sound/sheep_02.ogg",
        "widelands/sound/lobby_chat.ogg",
        "widelands/sheep_02.png",
    ],
    "megaglest": [
        "megaglest/bee1.wav",
        "megaglest/bee4.wav",
        "megaglest/other/bee1.wav",
        "megaglest/archer_ack1.wav",
    ],
    "hedgewars": ["hedgewars/Data/Sounds/steps.ogg", "hedgewars/Data/Sounds/steps.txt"],
}


@pytest.fixture
def raw(tmp_path):
    """The folders of the unpacked packages."""
    for source, files in FILES.items():
        for name in files:
            path = tmp_path / f"{source}-data/usr/share/games" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / f"{source}-data/.complete").touch()
    return tmp_path


def test_only_named_sounds_are_used(raw):
    concepts = {item["id"]: (item["concept"], path.suffix) for item, path in games.items(raw)}
    assert concepts == {
        "widelands/sound/widelands/sound/sheep_02": ("sheep", ".ogg"),
        "megaglest/sound/megaglest/bee1": ("bee", ".wav"),
        "megaglest/sound/megaglest/bee4": ("bee", ".wav"),
        "megaglest/sound/megaglest/other/bee1": ("bee", ".wav"),
        "hedgewars/sound/hedgewars/Data/Sounds/steps": ("footstep", ".ogg"),
    }


def test_copies_of_one_recording_share_a_group(raw):
    groups = [item["group"] for item, _ in games.items(raw) if item["source"] == "megaglest"]
    assert len(groups) == 3 and len(set(groups)) == 2


def test_every_concept_in_the_table_is_a_noun_and_no_alias():
    for source in games.LICENSES:
        for stem, (concept, caption) in named_sounds(source).items():
            assert concept_of(concept) == concept, (
                f"{source} {stem}: '{concept}' is an alias of '{concept_of(concept)}'"
            )
            assert caption == caption.strip() and len(caption) > 2
