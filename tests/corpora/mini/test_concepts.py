"""Captions are reduced to the noun that items of different sources share."""

import pytest

from exmcr.corpora.mini.concepts import _aliases, concept_of, named_sounds, singular, words


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
        ("the sliced lime", "lime"),  # a participle before the noun
        ("hand drawn heart", "heart"),
        ("cross, hand drawn", "cross"),
        ("A Seville orange, also called a bitter orange", "orange"),
        ("St. Bernard", "bernard"),
        ("female symbol", "gender sign"),  # no woman
        ("The green light means you can go", "traffic light"),
        ("A ripe, red tomato", "tomato"),
        ("red and white anemone flower", "flower"),
        ("magnifying glass", "magnifying glass"),  # no drinking glass
        ("Eastern bluebird", "bird"),
        # A name of two words, written as one.
        ("two beachballs", "ball"),
        ("teddybear", "teddy bear"),  # no bear
        ("A head of lettuce", "lettuce"),
        # What describes the noun, says what it does, or says something else.
        ("stack of books, taller", "book"),
        ("Sofa 3 seats", "sofa"),
        ("bird flying", "bird"),
        ("man bouncing ball", "man"),
        ("A four leaf clover is said to bring good luck", "clover"),
        ("A telephone. Hello? Hello?", "telephone"),
        ("Saturn—the second largest planet in our solar system", "saturn"),
        ("traffic light: red", "traffic light"),
        ("gallo di profilo", "chicken"),
        # A participle that is part of the name stays.
        ("a singing dinosaur", "dinosaur"),
        ("a small ironing board", "ironing board"),
        ("a bird wing", "wing"),
        ("man singing", "singer"),
        ("man painting a wall", "wall"),  # "painting" is taken for a picture
        # How and by whom a thing is drawn.
        ("cavallo architetto franc", "horse"),
        ("balloon black aj", "balloon"),
        ("leafy green", "green"),  # no leafy
        ("", ""),
        ("42 !", ""),
    ],
)
def test_the_concept_is_the_head_noun_of_a_caption(caption, concept):
    assert concept_of(caption) == concept


@pytest.mark.parametrize(
    "plural, expected",
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
def test_a_plural_becomes_a_singular(plural, expected):
    assert singular(plural) == expected


def test_words_are_letters_only():
    assert words("A Dog's 3 (tiny) cafés!") == ["a", "dog", "cafés"]


def test_the_concept_of_a_concept_is_itself_and_every_alias_leads_to_it():
    for alias, concept in _aliases().items():
        assert concept_of(concept) == concept
        assert concept_of(" ".join(alias)) == concept


def test_the_manner_of_a_drawing_is_not_its_concept():
    assert concept_of("violin (b and w)") == "violin"
    assert concept_of("seagull contour") == "seagull"
    assert concept_of("icon") == "icon"


SECTIONS = (
    "scratch",
    "tuxpaint",
    "gcompris",
    "sonic-pi",
    "lmms",
    "general-midi",
    "general-midi-drums",
    "widelands",
    "megaglest",
    "hedgewars",
)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_named_sound_has_a_concept_and_a_caption(section):
    sounds = named_sounds(section)
    assert len(sounds) > 5
    for concept, caption in sounds.values():
        assert concept and caption == caption.strip() and len(caption) > 2
