"""From a caption to the noun it is an instance of, so that items of different sources can answer each other."""

import re
from functools import cache
from importlib.resources import files

import yaml

_CUT = re.compile(
    r"\b(of|with|in|on|at|for|from|and|by|to|used|called|without|near|holding|wearing)\b.*"
)
_AMOUNT = re.compile(
    r"\b(pair|set|bunch|piece|slice|group|couple|spool|loaf|stack|pile|row|glass|cup|herd|flock)s? of\b"
)
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


@cache
def _aliases() -> dict[tuple[str, ...], str]:
    table = yaml.safe_load(files("exmcr.corpora.mini").joinpath("concepts.yaml").read_text())
    return {
        tuple(map(singular, alias.split())): concept
        for concept, names in table.items()
        for alias in [concept, *(names or [])]
    }


_ASIDE = re.compile(r"\(.*?\)|“.*?”")
# How a thing is drawn, said after its name: "violin bw", "seagull contour".
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
    """A light English singular, enough to make titles meet: "boxes" -> "box", "berries" -> "berry"."""
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
    """The head noun of a caption, through the alias table; "" when there is none.

    "A colorful rooster." -> "chicken" (alias), "Upright piano" -> "piano", "hot dog" -> "hot dog" (not "dog")."""
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
