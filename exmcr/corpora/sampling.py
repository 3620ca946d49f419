"""A fixed sample of an item table, for a quick run of the whole pipeline: `sample` in params.yaml.

Items drawn independently would rarely have a positive in the sample. Therefore:

- Sources take turns. Each gives one item of every concept before a second one, and first the
  concepts that occur in the most modalities.
- An item that is `of` another (icon, frame, caption) is kept with it, beyond the limit, and never
  without it.
- So are the texts that describe a kept item: its captions, its concept, and the prompts of its
  class in a benchmark. Other texts fill up the limit if these are fewer.
"""

from collections.abc import Callable

import pandas as pd

from exmcr.common.hashing import stable_uniform
from exmcr.corpora.paper import PAPER_CORPORA


def draw(items: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Sample an item table: at most `limit` items of each modality and split, and what belongs to
    them by the rules above. Keeps the order of rows.

    The same table gives the same sample. A larger limit keeps everything that a smaller one keeps,
    except texts that describe no kept item.
    """
    own = items[items.of == ""]
    is_text = own.modality == "text"
    modalities = own[~is_text & (own.concept != "")].groupby("concept").modality.nunique()
    ranked = _ranked(own[~is_text], modalities)
    ids = set(ranked.id[ranked["rank"] < limit])
    ids |= set(items.id[items.of.isin(ids)])

    texts = own[is_text]
    describing = texts.loc[_describes_one_of(texts, items[items.id.isin(ids)])]
    others = _ranked(texts[~texts.id.isin(describing.id)], modalities)
    room = limit - others.split.map(describing.split.value_counts()).fillna(0)
    ids |= set(describing.id) | set(others.id[others["rank"] < room])
    return items[items.id.isin(ids)].reset_index(drop=True)


def draw_and_make(
    limit: int, list_items: Callable[[], pd.DataFrame], make: Callable[[set[str]], None]
) -> pd.DataFrame:
    """Sample a corpus of which files are made from its items, and make only those of the sample.

    limit: as in `draw`. list_items: returns the item table, as far as it is known: an item whose
    file is not made yet may turn out to be unusable or a duplicate. make: makes the files of the
    items with these ids.

    A sample is drawn and its files are made. If that changes the table so that other items are
    drawn, theirs are made as well, and so on. The same corpus gives the same sample, whichever
    files exist at the start. A larger limit keeps what a smaller one keeps, with the exception of
    `draw` and one more: where a further item turns out to be unusable or a duplicate, items that
    share its group, concept or content may be left out, change their split or lose their place.
    """
    made: set[str] = set()
    while True:
        sample = draw(list_items(), limit)
        missing = set(sample.id[sample.path != ""]) - made
        if not missing:
            return sample
        make(missing)
        made |= missing


def _ranked(items: pd.DataFrame, modalities: pd.Series) -> pd.DataFrame:
    """The items with a column `rank`: the order, from 0, in which those of one modality and split
    are drawn.

    modalities: number of modalities that each concept occurs in, indexed by concept.
    """
    pool = ["modality", "split"]
    items = items.assign(
        modalities=items.concept.map(modalities).fillna(0),
        by_concept=items.concept.map(stable_uniform),
        by_id=items.id.map(stable_uniform),
    )
    items = items.sort_values("by_id")
    # An item without a concept counts as the first of a concept of its own.
    items["turn"] = (
        items.groupby([*pool, "source", "concept"]).cumcount().where(items.concept != "", 0)
    )
    items = items.sort_values(
        ["turn", "modalities", "by_concept", "by_id"], ascending=[True, False, True, True]
    )
    items["turn"] = items.groupby([*pool, "source"]).cumcount()
    items = items.sort_values(["turn", "by_id"])
    return items.assign(rank=items.groupby(pool).cumcount())


def _describes_one_of(texts: pd.DataFrame, kept: pd.DataFrame) -> list[bool]:
    """Per text: is it a caption or concept of a kept item of its split, or a prompt of the class of
    one in its benchmark?"""
    words = set(zip(kept.split, kept.concept, strict=True))
    words |= {
        (split, caption)
        for split, captions in zip(kept.split, kept.captions, strict=True)
        for caption in captions
    }
    classes = {
        (item.source, item.split, concept)
        for item in kept[kept.source.isin(PAPER_CORPORA)].itertuples()
        for concept in (item.concept, *getattr(item, "labels", ()))
        if concept
    }
    return [
        (text.split, text.caption) in words or (text.source, text.split, text.concept) in classes
        for text in texts.itertuples()
    ]
