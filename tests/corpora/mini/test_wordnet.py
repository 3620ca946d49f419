"""WordNet's database files: what is below a synset, and how common it is."""

import pytest

from exmcr.corpora.mini import contents, wordnet

# Physical entity > animal > {dog, Latin genus}; idea is elsewhere; an instance counts as below.
NOUNS = """\
  1 This software and database is provided as is.
00001930 03 n 01 physical_entity 0 003 @ 00001740 n 0000 ~ 00000010 n 0000 ~ 00000050 n 0000 | an entity that has physical existence
00000010 05 n 02 animal 0 beast 0 003 @ 00001930 n 0000 ~ 00000020 n 0000 ~ 00000030 n 0000 | a living organism; "an example"
00000020 05 n 01 domestic_dog 1 002 @ 00000010 n 0000 ~i 00000060 n 0000 | a pet
00000030 05 n 01 Canis 0 001 @ 00000010 n 0000 | type genus
00000040 09 n 01 idea 0 000 | the content of cognition
00000050 06 n 01 tool 0 001 @ 00001930 n 0000 | an implement
00000060 05 n 01 lassie 0 000 | a dog of films
"""
INDEX = "animal n 1 0 1 1 00000010\ntool n 4 0 4 1 00000050\nlassie n 1 0 1 0 00000060\n"
COUNTS = "domestic_dog%1:05:01:: 1 7\nidea%1:09:00:: 1 99\n"


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    for name, text in (("data.noun", NOUNS), ("index.noun", INDEX), ("cntlist.rev", COUNTS)):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(contents, "fetch", lambda package, raw: raw)
    monkeypatch.setattr(wordnet, "DEFINITIONS", 2)


def test_names_are_physical_things_the_most_common_first(tmp_path):
    names = ["domestic dog", "tool", "animal", "lassie", "physical entity"]
    assert sorted(wordnet.texts(tmp_path)[:5]) == sorted(names)
    assert wordnet.texts(tmp_path)[:2] == names[:2]
    assert wordnet.texts(tmp_path)[5:] == ["a pet", "an implement"]


def test_a_limit_keeps_the_most_common(tmp_path, monkeypatch):
    monkeypatch.setattr(wordnet, "NAMES", 1)
    assert wordnet.texts(tmp_path) == ["domestic dog", "a pet", "an implement"]
