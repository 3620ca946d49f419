"""Captions become the noun that items of different sources share."""

import pytest

from exmcr.corpora.mini.concepts import concept_of, singular, words


@pytest.mark.parametrize(
    "caption, concept",
    [
        ("hot dog", "hot dog"),
        ("A hot dog with mustard", "hot dog"),
        ("A big dog.", "dog"),
        ("sea lion", "seal"),
        ("lion", "lion"),
        ("A colorful rooster.", "chicken"),
        ("Two hens", "chicken"),
        ("A pair of closed scissors", "scissors"),
        ("Upright piano", "piano"),
        ("Christmas trees", "christmas tree"),
        ("Garden shears", "scissors"),
        ("two book shelves", "bookcase"),
        ("A cat in a tree", "cat"),
        ("the woman's hat", "hat"),
        ("Dogs 2 (old)", "dog"),
        ("", ""),
        ("42 !", ""),
    ],
)
def test_the_head_noun_of_a_caption(caption, concept):
    assert concept_of(caption) == concept


@pytest.mark.parametrize(
    "word, one",
    [
        ("boxes", "box"),
        ("berries", "berry"),
        ("dogs", "dog"),
        ("glass", "glass"),
        ("bus", "bus"),
        ("scissors", "scissors"),
        ("churches", "church"),
        ("gas", "gas"),
    ],
)
def test_singular(word, one):
    assert singular(word) == one


def test_words_are_letters_only():
    assert words("A Dog's 3 (tiny) cafés!") == ["a", "dog", "cafés"]


def test_a_concept_is_its_own_concept():
    from exmcr.corpora.mini.concepts import _aliases

    for concept in set(_aliases().values()):
        assert concept_of(concept) == concept


def test_how_a_thing_is_drawn_is_not_what_it_is():
    assert concept_of("violin (b and w)") == "violin"
    assert concept_of("seagull contour") == "seagull"
    assert concept_of("icon") == "icon"
