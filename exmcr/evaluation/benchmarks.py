"""Tasks of the paper's benchmarks: each corpus has tasks of its own, as it defines them.

Retrieval, in both directions: an item matches its own partner (`of`), not others of its class.
Zero-shot classification, for a corpus with class prompts: a class is the unit mean of its prompts,
and an item matches its class (`concept`), or each of its classes (`labels`). R@1 and R@5 are top-1
and top-5 accuracy. If items have several classes, as in AudioSet, there is the reverse task as
well, which ranks all items for each class: its mAP is the mean over classes of the average
precision of a class, which is the mAP that the literature reports.

The name of a task ends in that of its corpus: "audio->image (ave)", "audio->text (esc50)".
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.evaluation.matching import Task, flipped, same, sharing, task_of
from exmcr.media import MODALITIES


def by_partner(held_out: pd.DataFrame) -> list[Task]:
    """The tasks of all benchmarks.

    held_out: rows of one split. No query counts as seen, since the training data of the encoders
    is not known here. Raises ConfigError for a corpus whose class prompts would give a task the
    name of another.
    """
    found: list[Task] = []
    for source, rows in held_out.groupby("source"):
        for task in (*_retrieval(rows, source), *_zero_shot(rows, source)):
            if task.name in (known.name for known in found):
                raise ConfigError(
                    f"two tasks are named '{task.name}': {source} has captions and class prompts; "
                    "delete `prompts` of its line under `paper` in params.yaml"
                )
            found.append(task)
    return found


def _retrieval(rows: pd.DataFrame, source: str) -> Iterator[Task]:
    """Both directions between items and their partners."""
    for (a, b), partners in _partners(rows):
        originals = rows[rows.modality == a]
        positive = same(originals.id, partners.of)
        both = (
            task_of(f"{a}->{b} ({source})", originals, partners, positive, set()),
            task_of(f"{b}->{a} ({source})", partners, originals, flipped(positive), set()),
        )
        yield from filter(None, both)


def _partners(rows: pd.DataFrame) -> Iterable[tuple[tuple[str, str], pd.DataFrame]]:
    """((modality of the original, modality of the partner), rows that are `of` one), for each."""
    partners = rows[rows.of != ""]
    modality = dict(zip(rows.id, rows.modality, strict=True))
    return partners.groupby([partners.of.map(modality), partners.modality])


def _zero_shot(rows: pd.DataFrame, source: str) -> Iterator[Task]:
    """Classification of the originals of each modality, if the corpus has class prompts."""
    prompts = rows[(rows.modality == "text") & (rows.of == "") & (rows.concept != "")]
    if prompts.empty:
        return
    classes = _classes(prompts)
    for modality in MODALITIES:
        own = rows[(rows.modality == modality) & (rows.of == "")]
        if modality == "text" or own.empty:
            continue
        labels = _labels(own)
        positive = sharing(labels, classes.concept.tolist())
        both = [task_of(f"{modality}->text ({source})", own, classes, positive, set())]
        if any(len(of_item) > 1 for of_item in labels):
            name = f"text->{modality} ({source})"
            both.append(task_of(name, classes, own, flipped(positive), set()))
        yield from filter(None, both)


def _classes(prompts: pd.DataFrame) -> pd.DataFrame:
    """One row per class, with all its prompts in `captions`: its vector is their mean. `caption` is
    the name of the class, or its only prompt."""
    rows = prompts.groupby("concept", as_index=False).agg(captions=("caption", list))
    texts = [
        captions[0] if len(captions) == 1 else concept
        for captions, concept in zip(rows.captions, rows.concept, strict=True)
    ]
    return rows.assign(id="class/" + rows.concept, modality="text", caption=texts, of="")


def _labels(rows: pd.DataFrame) -> list[list[str]]:
    """The classes of each item: `labels` if it has any, else its concept."""
    single = [[concept] for concept in rows.concept]
    if "labels" not in rows:
        return single
    # Rows of tables without this column have None or NaN.
    several = [list(labels) if np.ndim(labels) else [] for labels in rows.labels]
    return [own or one for own, one in zip(several, single, strict=True)]
