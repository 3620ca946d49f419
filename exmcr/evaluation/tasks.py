"""What is asked of the extended space: queries, a gallery, and which answers are right.

Two items answer each other when they are instances of the same noun (`concept` of the item table), except that an icon
answers its own model only, and a caption the items it belongs to. Galleries hold items of the asked split only.

The benchmarks of the paper are asked one by one, as they are defined: there an item and its own partner (`of`) answer each
other, and a class is the mean of its 64 sentences. Their tasks are named "audio->image (ave)"."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from exmcr.common.hashing import stable_uniform
from exmcr.corpora.paper import PAPER_CORPORA

# Tasks whose pairs no frozen space was ever trained on: sounds meet pictures and models in none, and the pictures here come
# from other sources than the renders and icons that the points leaf has seen beside its models. Rankings average over these.
EMERGENT = (
    "audio->image",
    "image->audio",
    "points->image",
    "image->points",
    "audio->points",
    "points->audio",
)
GALLERY = (
    300  # pictures in the audio-image gallery: every right answer, then others by a fixed draw
)


@dataclass
class Task:
    """queries and gallery are rows of the item table; positive is bool (len(queries), len(gallery))."""

    name: str
    queries: pd.DataFrame
    gallery: pd.DataFrame
    positive: np.ndarray
    seen: (
        np.ndarray
    )  # bool per query: was its concept (or name) heard by the leaf space in training?

    @property
    def from_modality(self) -> str:
        """The modality that asks."""
        return self.queries.modality.iloc[0]

    @property
    def to_modality(self) -> str:
        """The modality that is found."""
        return self.gallery.modality.iloc[0]


def _task(
    name: str,
    queries: pd.DataFrame,
    gallery: pd.DataFrame,
    positive: np.ndarray,
    known: set,
    key: str = "concept",
) -> Task | None:
    asked = positive.any(axis=1)
    if not asked.any():
        return None
    queries = queries[asked]
    return Task(name, queries, gallery, positive[asked], queries[key].isin(known).to_numpy())


def _same(a: pd.Series, b: pd.Series) -> np.ndarray:
    left, right = a.to_numpy()[:, None], b.to_numpy()[None, :]
    return (left == right) & (left != "")


def names_as_texts(items: pd.DataFrame, column: str) -> pd.DataFrame:
    """A gallery of words: one text per distinct value of `column` ("concept" or "caption") of these items."""
    words = items[items[column] != ""].drop_duplicates(column)
    spoken = words[column].to_numpy()
    return pd.DataFrame(
        {
            "id": "word/" + words[column].to_numpy(),
            "modality": "text",
            "caption": spoken,
            "concept": words.concept.to_numpy(),
            "of": "",
        }
    )


def tasks(items: pd.DataFrame, split: str) -> list[Task]:
    """Every task that the item table has data for, on one split ("val" or "test")."""
    benchmark = items.source.isin(PAPER_CORPORA)
    return by_concept(items[~benchmark], split) + by_partner(
        items[benchmark & (items.split == split)]
    )


def by_partner(held: pd.DataFrame) -> list[Task]:
    """Both directions between the items of a corpus and what is `of` them, and zero-shot classification where it has prompts.

    held: rows of one split. No query counts as seen: what the encoders were trained on is not known here."""
    made = []
    for source, rows in held.groupby("source"):
        for (of_modality, modality), partners in _partners(rows):
            originals = rows[rows.modality == of_modality]
            number = pd.Series(np.arange(len(originals)), index=originals.id)
            positive = (
                number.reindex(partners.of).to_numpy()[:, None]
                == np.arange(len(originals))[None, :]
            )
            made.append(
                _task(
                    f"{of_modality}->{modality} ({source})", originals, partners, positive.T, set()
                )
            )
            made.append(
                _task(f"{modality}->{of_modality} ({source})", partners, originals, positive, set())
            )
        prompts = rows[(rows.modality == "text") & (rows.of == "") & (rows.concept != "")]
        shapes = rows[rows.modality == "points"]
        if len(prompts) and len(shapes):
            classes = _classes(prompts)
            made.append(
                _task(
                    f"points->text ({source})",
                    shapes,
                    classes,
                    _same(shapes.concept, classes.concept),
                    set(),
                )
            )
    return [t for t in made if t is not None]


def _partners(rows: pd.DataFrame):
    """Yield ((modality of the original, own modality), rows that are `of` one)."""
    partners = rows[rows.of != ""]
    modality = dict(zip(rows.id, rows.modality, strict=True))
    return partners.groupby([partners.of.map(modality), partners.modality])


def _classes(prompts: pd.DataFrame) -> pd.DataFrame:
    """One row per class, with all its sentences in `captions`: its vector is their mean."""
    found = prompts.groupby("concept", as_index=False).agg(captions=("caption", list))
    return found.assign(id="class/" + found.concept, modality="text", caption=found.concept, of="")


def by_concept(items: pd.DataFrame, split: str) -> list[Task]:
    """The tasks of corpora without partners: whatever is an instance of the same noun answers."""
    held = {
        m: items[(items.modality == m) & (items.split == split)]
        for m in ("image", "audio", "points")
    }
    train = {
        m: items[(items.modality == m) & (items.split == "train")]
        for m in ("image", "audio", "points")
    }
    image, audio, points = held["image"], held["audio"], held["points"]
    other = image[image.of == ""]  # pictures that are not renders of one of the models
    heard, shaped = set(train["audio"].concept), set(train["points"].concept)
    pictured = set(train["image"].concept)
    made = []

    if len(audio) and len(other):
        right = other.concept.isin(set(audio.concept) - {""}).to_numpy()
        spare = (
            other[~right]
            .assign(draw=[stable_uniform("gallery:" + i) for i in other[~right].id])
            .sort_values("draw")
            .drop(columns="draw")
        )
        gallery = pd.concat([other[right], spare.head(max(0, GALLERY - int(right.sum())))])
        made.append(
            _task("audio->image", audio, gallery, _same(audio.concept, gallery.concept), heard)
        )
        made.append(
            _task("image->audio", gallery, audio, _same(gallery.concept, audio.concept), heard)
        )
    if len(audio):
        words = names_as_texts(audio, "concept")
        made.append(_task("audio->text", audio, words, _same(audio.concept, words.concept), heard))
        made.append(_task("text->audio", words, audio, _same(words.concept, audio.concept), heard))
    if len(points):
        # Zero-shot classification over every name of the catalog, those of training included.
        words = names_as_texts(items[items.modality == "points"], "caption")
        made.append(
            _task(
                "points->text",
                points,
                words,
                _same(points.caption, words.caption),
                set(train["points"].caption),
                "caption",
            )
        )
        if len(other):
            made.append(
                _task("points->image", points, other, _same(points.concept, other.concept), shaped)
            )
            made.append(
                _task("image->points", other, points, _same(other.concept, points.concept), shaped)
            )
        icons = image[image.of != ""]
        if len(icons):
            made.append(_task("points->icon", points, icons, _same(points.id, icons.of), shaped))
    if len(points) and len(audio):
        everything = items[items.modality == "points"] if split == "test" else points
        made.append(
            _task(
                "audio->points", audio, everything, _same(audio.concept, everything.concept), heard
            )
        )
        made.append(
            _task("points->audio", points, audio, _same(points.concept, audio.concept), heard)
        )
    stamps = image[image.source == "tuxpaint"] if (image.source == "tuxpaint").any() else other
    if len(stamps):
        words = names_as_texts(stamps, "caption")
        made.append(
            _task("image->text", stamps, words, _same(stamps.caption, words.caption), pictured)
        )
        made.append(
            _task("text->image", words, stamps, _same(words.caption, stamps.caption), pictured)
        )
    return [t for t in made if t is not None]


def concept_subsets(task: Task):
    """Yield (name, rows of the task's queries): all, and seen and unseen concepts if both occur."""
    yield "all", np.arange(len(task.queries))
    if task.seen.any() and not task.seen.all():
        yield "seen", np.flatnonzero(task.seen)
        yield "unseen", np.flatnonzero(~task.seen)
