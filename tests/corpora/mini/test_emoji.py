"""Emoji of several styles: named once, drawn from the bodies of icon sets."""

import json

import pytest

from exmcr.corpora.mini import emoji, npm, pictures

BODY = '<path d="M0 0h20v10z"/>'
SETS = {
    "noto": ["dog-face", "flag-france", "alarm-clock", "thumbs-up-dark-skin-tone"],
    "fluent-emoji-flat": ["dog-face", "up-arrow"],
    "twemoji": ["dog-face", "alarm-clock", "up-arrow"],
    "openmoji": ["a-brand", "flag-france"],
}


@pytest.fixture
def raw(tmp_path, monkeypatch):
    for name, icons in SETS.items():
        (tmp_path / name).mkdir()
        icons = {icon: {"body": BODY} for icon in icons}
        if name == "twemoji":
            icons["dog-face"] |= {"width": 40, "left": -2}
        content = {"prefix": name, "icons": icons, "width": 32, "height": 32}
        (tmp_path / name / "icons.json").write_text(json.dumps(content))
    monkeypatch.setattr(npm, "fetch", lambda package, raw: raw / package.split("/")[1])
    return tmp_path


def test_signs_flags_variants_and_names_of_one_set_are_left_out(raw):
    ids = [item["id"] for item, _ in emoji.items(raw)]
    assert ids == [
        "emoji/noto/alarm-clock",
        "emoji/noto/dog-face",
        "emoji/fluent/dog-face",
        "emoji/twemoji/alarm-clock",
        "emoji/twemoji/dog-face",
    ]


def test_the_styles_of_an_emoji_share_a_group_a_caption_and_a_concept(raw):
    dogs = [item for item, _ in emoji.items(raw) if "dog" in item["id"]]
    assert {(d["group"], d["caption"], d["concept"]) for d in dogs} == {
        ("emoji:dog face", "dog face", "dog")
    }
    assert len({d["license"] for d in dogs}) == 3


def test_an_icon_without_a_size_has_that_of_its_set(raw, tmp_path):
    drawn = {item["id"]: svg for item, svg in emoji.items(raw)}
    assert b'viewBox="0 0 32 32"' in drawn["emoji/noto/dog-face"]
    assert b'viewBox="-2 0 40 32"' in drawn["emoji/twemoji/dog-face"]
    pictures.store(drawn["emoji/noto/dog-face"], tmp_path / "a.png", svg=True)
