"""WordNet's names of physical things, as unpaired training texts.

Debian package wordnet-base (WordNet license). Format:
https://wordnet.princeton.edu/documentation/wndb5wn
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exmcr.corpora.mini import contents

SOURCE, LICENSE = "wordnet", "WordNet-3.0"
ROOT = "00001930"  # the synset physical_entity.n.01
NAMES = 12_000  # most common names that are used
DEFINITIONS = 5_000  # most common senses whose definition is used, too
_BELOW = ("~", "~i")  # pointers to hyponyms and instances


@dataclass(frozen=True)
class Synset:
    """A noun: its first lemma, the key of that sense in the counts, hyponyms and definition."""

    lemma: str
    sense: str
    below: tuple[str, ...]
    definition: str


def texts(raw: Path) -> list[str]:
    """Names of physical things, the most common first, and definitions of the most common.

    Names are those that SemCor, the corpus that WordNet counts senses in, contains most often, then
    words with the most senses. Proper names and Latin names, which begin with a capital, are left
    out.
    """
    folder = next(contents.fetch("wordnet-base", raw).rglob("data.noun")).parent
    synsets = dict(_read(_lines(folder / "data.noun")))
    counts = {f[0]: int(f[2]) for f in map(str.split, _lines(folder / "cntlist.rev"))}
    senses = {f[0]: int(f[2]) for f in map(str.split, _lines(folder / "index.noun"))}
    things = [synsets[offset] for offset in sorted(_below(ROOT, synsets))]
    things = [thing for thing in things if thing.lemma.islower()]
    things.sort(key=lambda t: (-counts.get(t.sense, 0), -senses.get(t.lemma, 0)))
    names = list(dict.fromkeys(thing.lemma.replace("_", " ") for thing in things))
    return [*names[:NAMES], *(thing.definition for thing in things[:DEFINITIONS])]


def _lines(path: Path) -> Iterator[str]:
    """Lines of a database file without its license, which is indented."""
    with path.open(encoding="latin-1") as file:
        yield from (line for line in file if not line.startswith(" "))


def _read(lines: Iterable[str]) -> Iterator[tuple[str, Synset]]:
    """Yield (offset, synset)."""
    for line in lines:
        data, _, gloss = line.partition("|")
        fields = data.split()
        place = 4 + 2 * int(fields[3], 16)  # after the lemmas, each with its number
        pointers = fields[place + 1 : place + 1 + 4 * int(fields[place])]
        below = tuple(
            offset
            for symbol, offset in zip(pointers[::4], pointers[1::4], strict=True)
            if symbol in _BELOW
        )
        lemma = fields[4].split("(")[0]
        sense = f"{lemma.lower()}%1:{fields[1]}:{int(fields[5], 16):02d}::"
        yield fields[0], Synset(lemma, sense, below, gloss.split(";")[0].strip())


def _below(root: str, synsets: dict[str, Synset]) -> set[str]:
    """Offsets of a synset and everything below it."""
    seen, queue = {root}, deque([root])
    while queue:
        new = [offset for offset in synsets[queue.popleft()].below if offset not in seen]
        seen.update(new)
        queue.extend(new)
    return seen
