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
    r"\b(of|with|in|on|at|for|from|and|by|to|under|over|inside|near|without|that|which|who"
    r"|is|are|was|has|means|lets|carries|carry|resembles|used|called|holding|wearing"
    r"|di|del|della|da|col)\b.*"
    r"|\b(hand )?(made|drawn|covered|hatched|sliced|bitten|worn)(?= (by|of|with|in|from)\b|\s*$).*"
)
_AMOUNT = re.compile(
    r"\b(pair|set|bunch|piece|slice|group|couple|spool|loaf|stack|pile|row|glass|cup|herd|flock"
    r"|head)s? of\b"
)
_ASIDE = re.compile(r"\(.*?\)|“.*?”")
# The first sentence names the picture. The period of "St. Bernard" or "U.S." ends none.
_SENTENCE_END = re.compile(r"(?<!\b[a-z])(?<!\bst)(?<!\b[dm]r)(?<!\bno)\.|[!?:;—]")
_REMARK = re.compile(r",.*|(?<=[a-z]) \d.*")  # "Sofa 3 seats"
_COLOR = "black|white|gray|grey|red|green|blue|yellow|orange|brown|pink|purple"
_COLOR_AND = re.compile(rf"\b({_COLOR}) and (?=({_COLOR})\b)")
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
    "mars",
)
# Words in -ing that name a thing, not what another one does.
_NO_ACTION = {"king", "ring", "wing", "string", "swing", "painting", "ceiling", "clothing"}
# How a thing is drawn, and by whom, written after its name: "violin bw", "seagull contour".
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
    "illustration",
    "symbol",
    "silhouet",
    "style",
    "flat",
    "highlight",
    "exclamation",
    "arrival",
    "departure",
    "ahead",
    "aj",
    "architetto",
    "franc",
    "piche",
    "zazou",
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
    (not "dog"), "bird flying" -> "bird".
    """
    text = _AMOUNT.sub(" ", _COLOR_AND.sub("", _ASIDE.sub(" ", caption.lower())))
    text = next((part for part in _SENTENCE_END.split(text) if words(part)), "")
    # "stack of books, taller", but "a ripe, red tomato": a remark follows a known noun.
    if _known(_nouns(_REMARK.sub("", text))):
        text = _REMARK.sub("", text)
    tokens = _before_participle(_nouns(text))
    while len(tokens) > 1 and _is_manner(tokens):
        tokens.pop()
    return _known(tokens) or (tokens[-1] if tokens else "")


def _is_manner(tokens: list[str]) -> bool:
    """Whether the last word says how a thing is drawn, and is not a part of its name."""
    if _known(tokens):
        return False
    color = re.fullmatch(_COLOR, tokens[-1]) is not None
    return tokens[-1] in _MANNER or (color and _known(tokens[:-1]) is not None)


def _nouns(text: str) -> list[str]:
    """The words up to the one that describes them, in the singular and without articles."""
    for part in (_CUT.sub("", text), text):
        if tokens := [singular(word) for word in words(part) if word not in ("a", "an", "the")]:
            return tokens
    return []


def _known(tokens: list[str]) -> str | None:
    """The noun of the alias table whose name these words end in; None if there is none."""
    aliases = _aliases()
    ends = (tuple(tokens[-length:]) for length in (3, 2, 1))
    return next((aliases[end] for end in ends if end in aliases), None)


def _before_participle(tokens: list[str]) -> list[str]:
    """The words before what a known thing does: "man bouncing ball" -> "man".

    A participle that is part of a name stays: "singing dinosaur", "man singing" (a singer), "small
    ironing board".
    """
    for place in range(1, len(tokens)):
        if not tokens[place].endswith("ing") or tokens[place] in _NO_ACTION:
            continue
        names = _known(tokens[: place + 1]) or tuple(tokens[place : place + 2]) in _aliases()
        if _known(tokens[:place]) and not names:
            return tokens[:place]
    return tokens


@cache
def _aliases() -> dict[tuple[str, ...], str]:
    """{words of a name, in the singular: its noun}, also for names of two words written as one."""
    names = {
        tuple(map(singular, alias.split())): concept
        for concept, aliases in _read("concepts.yaml").items()
        for alias in [concept, *(aliases or [])]
    }
    return {("".join(words),): names[words] for words in names} | names


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
