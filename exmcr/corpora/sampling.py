"""A fixed draw of an item table, to try the whole pipeline before spending hours on it: `sample` in params.yaml."""

import pandas as pd

from exmcr.common.hashing import stable_uniform

from exmcr.corpora.paper import PAPER_CORPORA


def draw(items: pd.DataFrame, most: int) -> pd.DataFrame:
    """The rows of an item table that are kept, in its order: at most `most` of each modality and split, and what belongs to them.

    Items drawn one by one would have no answers left among them. Therefore:

    - Sources take turns; each gives one item of every concept before a second one, and first the concepts that
      occur in the most modalities.
    - What is `of` an item (icon, frame, caption) is kept with it, beyond `most`, and never without it.
    - So are the texts that name a kept item: its captions, its concept, the sentences about its class in a benchmark.
      Other texts are drawn where these are fewer than `most`.

    The same table gives the same draw; a larger `most` keeps everything that a smaller one does, those other texts apart."""
    own = items[items.of == ""]
    is_text = own.modality == "text"
    spread = own[~is_text & (own.concept != "")].groupby("concept").modality.nunique()
    things = _places(own[~is_text], spread)
    ids = set(things.id[things.place < most])
    ids |= set(items.id[items.of.isin(ids)])

    texts = own[is_text]
    named = texts.loc[_name_one_of(texts, items[items.id.isin(ids)])]
    others = _places(texts[~texts.id.isin(named.id)], spread)
    room = most - others.split.map(named.split.value_counts()).fillna(0)
    ids |= set(named.id) | set(others.id[others.place < room])
    return items[items.id.isin(ids)].reset_index(drop=True)


def _places(items: pd.DataFrame, spread: pd.Series) -> pd.DataFrame:
    """The items with a column `place`: 0 for what is drawn first of its modality and split, 1 for what is drawn next.

    spread: concept -> number of modalities it occurs in."""
    pool = ["modality", "split"]
    items = items.assign(
        spread=items.concept.map(spread).fillna(0),
        by_concept=items.concept.map(stable_uniform),
        by_id=items.id.map(stable_uniform),
    )
    items = items.sort_values("by_id")
    # Without a concept, every item counts as the first of its own.
    items["turn"] = (
        items.groupby([*pool, "source", "concept"]).cumcount().where(items.concept != "", 0)
    )
    items = items.sort_values(
        ["turn", "spread", "by_concept", "by_id"], ascending=[True, False, True, True]
    )
    items["turn"] = items.groupby([*pool, "source"]).cumcount()
    items = items.sort_values(["turn", "by_id"])
    return items.assign(place=items.groupby(pool).cumcount())


def _name_one_of(texts: pd.DataFrame, kept: pd.DataFrame) -> list[bool]:
    """Per text: is it what a kept item of its split is called, or a sentence about a class of its benchmark?"""
    words = set(zip(kept.split, kept.concept, strict=True))
    words |= {
        (split, caption)
        for split, captions in zip(kept.split, kept.captions, strict=True)
        for caption in captions
    }
    classes = {
        key
        for key in zip(kept.source, kept.split, kept.concept, strict=True)
        if key[0] in PAPER_CORPORA and key[2]
    }
    return [
        (t.split, t.caption) in words or (t.source, t.split, t.concept) in classes
        for t in texts.itertuples()
    ]
