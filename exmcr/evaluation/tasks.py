"""Tasks: queries, a gallery, and which gallery items are right answers.

Corpora without partners (`by_concept`): two items match if they are instances of the same noun
(`concept` of the item table); an icon matches only the shape that it shows, and a name only the
items that bear it. Galleries hold items of one split, except that shapes of the test split are
retrieved from the whole catalog.

Benchmarks of the paper have tasks of their own (benchmarks.py), whose names end in that of the
corpus: "audio->image (ave)".
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import stable_uniform
from exmcr.corpora.paper import PAPER_CORPORA
from exmcr.evaluation.benchmarks import by_partner
from exmcr.evaluation.matching import Task, matched, same, task_of
from exmcr.media import MODALITIES

# Every other modality is a leaf modality: it is scored against these two and all other leaves.
COMMON = ("image", "text")
# Leaf modalities whose captions are names of a catalog. They are classified among all names of the
# catalog, and retrieved from the whole catalog.
CATALOGS = ("points",)
# Tasks whose pairs no frozen space was trained on: no space has sounds together with images or
# shapes, and these images come from other sources than the renders and icons on which the points
# leaf was trained. Comparisons average over them. For other modalities see `emergent`.
EMERGENT = (
    "audio->image",
    "image->audio",
    "points->image",
    "image->points",
    "audio->points",
    "points->audio",
)
GALLERY = 300  # images in a gallery for sounds: all right answers, then others by a fixed draw


def tasks(items: pd.DataFrame, split: str) -> list[Task]:
    """Every task for which the item table has data on one split ("val" or "test").

    Raises ConfigError for a modality that is not registered in exmcr.media.
    """
    unknown = sorted(set(items.modality) - MODALITIES.keys())
    if unknown:
        raise ConfigError(
            f"the item table has items of unknown modality '{unknown[0]}'; "
            f"known: {', '.join(MODALITIES)}"
        )
    benchmark = items.source.isin(PAPER_CORPORA)
    held_out = items[benchmark & (items.split == split)]
    return by_concept(items[~benchmark], split) + by_partner(held_out)


def emergent(candidates: Iterable[Task], spaces: Iterable[Collection[str]]) -> list[Task]:
    """The tasks whose pairs no frozen space was trained on.

    These are the tasks of EMERGENT, and those whose two modalities no space has together: with a
    further leaf for depth maps and text, depth->image and audio->depth count, depth->text does not.

    spaces: the modalities of each frozen space of the run.
    """
    known = [set(modalities) for modalities in spaces]
    return [
        task
        for task in candidates
        if task.name in EMERGENT
        or not any({task.from_modality, task.to_modality} <= modalities for modalities in known)
    ]


def concept_subsets(task: Task) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, rows of the queries): all, then seen and unseen concepts if both occur."""
    yield "all", np.arange(len(task.queries))
    if task.seen.any() and not task.seen.all():
        yield "seen", np.flatnonzero(task.seen)
        yield "unseen", np.flatnonzero(~task.seen)


def by_concept(items: pd.DataFrame, split: str) -> list[Task]:
    """Tasks of corpora without partners: items of the same concept match."""
    folded = items.caption.str.casefold()  # "Bus" and "bus" are one name
    corpus = _Corpus(items.assign(folded=folded), split)
    leaves = [modality for modality in MODALITIES if modality not in COMMON]
    found: list[Task | None] = []
    for leaf in leaves:
        found += (_catalog_tasks if leaf in CATALOGS else _leaf_tasks)(corpus, leaf)
    for a, b in combinations(leaves, 2):
        found += _between_leaves(corpus, a, b)
    found += _image_and_text(corpus)
    return [task for task in found if task is not None]


@dataclass
class _Corpus:
    """An item table, and the split that is scored."""

    items: pd.DataFrame
    split: str

    def of(self, modality: str) -> pd.DataFrame:
        """All items of a modality."""
        return self.items[self.items.modality == modality]

    def held_out(self, modality: str) -> pd.DataFrame:
        """Items of a modality on the split that is scored."""
        rows = self.of(modality)
        return rows[rows.split == self.split]

    def images(self) -> pd.DataFrame:
        """Held-out images, without icons."""
        rows = self.held_out("image")
        return rows[rows.of == ""]

    def trained(self, modality: str, column: str = "concept") -> set[str]:
        """Concepts (or names without case) of the training items of a modality."""
        rows = self.of(modality)
        return set(rows[rows.split == "train"][column])


def _leaf_tasks(corpus: _Corpus, leaf: str) -> list[Task | None]:
    """A leaf modality against images and against nouns, in both directions."""
    own, seen = corpus.held_out(leaf), corpus.trained(leaf)
    images = _image_gallery(corpus.images(), own)
    nouns = _as_texts(own, "concept")
    return [
        matched(f"{leaf}->image", own, images, seen),
        matched(f"image->{leaf}", images, own, seen),
        matched(f"{leaf}->text", own, nouns, seen),
        matched(f"text->{leaf}", nouns, own, seen),
    ]


def _catalog_tasks(corpus: _Corpus, leaf: str) -> list[Task | None]:
    """A catalog against all its names (zero-shot), against images, and against its own icons."""
    own, seen = corpus.held_out(leaf), corpus.trained(leaf)
    names, seen_names = _as_texts(corpus.of(leaf), "caption"), corpus.trained(leaf, "folded")
    images, icons = corpus.images(), corpus.held_out("image")
    icons = icons[icons.of != ""]
    return [
        matched(f"{leaf}->text", own, names, seen_names, by="folded", seen_by="folded"),
        matched(f"{leaf}->image", own, images, seen),
        matched(f"image->{leaf}", images, own, seen),
        task_of(f"{leaf}->icon", own, icons, same(own.id, icons.of), seen),
    ]


def _between_leaves(corpus: _Corpus, a: str, b: str) -> list[Task | None]:
    """Two leaf modalities, in both directions. Concepts count as seen if they occur in training
    items of `a`."""
    seen = corpus.trained(a)
    return [
        matched(f"{a}->{b}", corpus.held_out(a), _leaf_gallery(corpus, b), seen),
        matched(f"{b}->{a}", corpus.held_out(b), _leaf_gallery(corpus, a), seen),
    ]


def _leaf_gallery(corpus: _Corpus, leaf: str) -> pd.DataFrame:
    whole = leaf in CATALOGS and corpus.split == "test"
    return corpus.of(leaf) if whole else corpus.held_out(leaf)


def _image_and_text(corpus: _Corpus) -> list[Task | None]:
    """Images and their captions: those of tuxpaint, the cleanest, if there are any."""
    images = corpus.held_out("image")
    stamps = images[images.source == "tuxpaint"]
    images = stamps if len(stamps) else corpus.images()
    captions, seen = _as_texts(images, "caption"), corpus.trained("image")
    return [
        matched("image->text", images, captions, seen, by="folded"),
        matched("text->image", captions, images, seen, by="folded"),
    ]


def _image_gallery(images: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """All images that match one of these items, filled up to GALLERY by a fixed draw."""
    right = images.concept.isin(set(own.concept) - {""}).to_numpy()
    spare = images[~right]
    order = np.argsort([stable_uniform(f"gallery:{id}") for id in spare.id])
    return pd.concat([images[right], spare.iloc[order].head(max(0, GALLERY - int(right.sum())))])


def _as_texts(items: pd.DataFrame, column: str) -> pd.DataFrame:
    """One text per distinct value of `column` ("concept" or "caption") of these items."""
    rows = items[items[column] != ""].drop_duplicates("folded" if column == "caption" else column)
    texts = rows[column].to_numpy()
    columns = {"id": "word/" + texts, "modality": "text", "caption": texts, "of": ""}
    folded = [text.casefold() for text in texts]
    return pd.DataFrame(columns | {"concept": rows.concept.to_numpy(), "folded": folded})
