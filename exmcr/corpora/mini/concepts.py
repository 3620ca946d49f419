"""From a caption to the noun that items of different sources share (`concept` of the item table).

concepts.yaml lists nouns with their aliases; sounds.yaml and shapes.yaml name what sound files and
meshes contain.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

# What follows one of these words describes the noun before it.
_CUT = re.compile(
    r"\b(of|with|in|on|at|for|from|and|by|to|used|called|without|near|holding|wearing)\b.*"
)
_AMOUNT = re.compile(
    r"\b(pair|set|bunch|piece|slice|group|couple|spool|loaf|stack|pile|row|glass|cup|herd|flock)"
    r"s? of\b"
)
_ASIDE = re.compile(r"\(.*?\)|“.*?”")
# Endings of words that stay as they are in the singular.
_KEEP_S = (
    "ss",
    "us",
    "is",
    "sunglasses",
    "glasses",
    "scissors",
    "pliers",
    "maracas",
    "bagpipes",
    "castanets",
    "stairs",
    "trousers",
    "jeans",
    "bellows",
    "binoculars",
    "tweezers",
)
# How a thing is drawn, written after its name: "violin bw", "seagull contour".
_MANNER = {
    "bw",
    "bwh",
    "outline",
    "contour",
    "silhouette",
    "profile",
    "ii",
    "iii",
    "clipart",
    "icon",
    "simple",
    "vector",
    "drawing",
}


def words(caption: str) -> list[str]:
    """Lower-case words without brackets, digits and punctuation."""
    return re.findall(r"[a-zà-ÿ]+", _ASIDE.sub(" ", caption.lower()).replace("'s", ""))


def singular(word: str) -> str:
    """A rough English singular, enough for titles to match: "boxes" -> "box"."""
    if len(word) < 4 or word.endswith(_KEEP_S):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("xes", "ches", "shes", "sses")):
        return word[:-2]
    if word.endswith("s"):
        return word[:-1]
    return word


def concept_of(caption: str) -> str:
    """The head noun of a caption, through the alias table; "" if there is none.

    "A colorful rooster." -> "chicken" (alias), "Upright piano" -> "piano", "hot dog" -> "hot dog"
    (not "dog").
    """
    text = _AMOUNT.sub(" ", _ASIDE.sub(" ", caption.lower()))
    tokens = words(_CUT.sub("", text)) or words(text)
    tokens = [singular(t) for t in tokens if t not in ("a", "an", "the")]
    while len(tokens) > 1 and tokens[-1] in _MANNER:
        tokens.pop()
    aliases = _aliases()
    for length in (3, 2, 1):
        if tokens and tuple(tokens[-length:]) in aliases:
            return aliases[tuple(tokens[-length:])]
    return tokens[-1] if tokens else ""


@cache
def _aliases() -> dict[tuple[str, ...], str]:
    """{words of a name, in the singular: its noun}."""
    return {
        tuple(map(singular, alias.split())): concept
        for concept, names in _read("concepts.yaml").items()
        for alias in [concept, *(names or [])]
    }


@cache
def named_sounds(section: str) -> dict[Any, tuple[str, str]]:
    """What the sounds of a source are: {file stem, or MIDI number: (concept, caption)}.

    section: a source, "general-midi" or "general-midi-drums". Sounds that sounds.yaml does not list
    have no concept and no caption.
    """
    return {key: (a, b) for key, (a, b) in _read("sounds.yaml").get(section, {}).items()}


@cache
def named_shapes(source: str) -> dict[str, tuple[str, str]]:
    """What the shapes of a source are: {mesh file without its suffix: (concept, caption)}."""
    return {key: (a, b) for key, (a, b) in _read("shapes.yaml")[source].items()}


@cache
def _read(name: str) -> Any:
    return yaml.safe_load(files("exmcr.corpora.mini").joinpath(name).read_text("utf-8"))
