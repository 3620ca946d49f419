"""Curves of training, and the precision on validation items."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from exmcr.figures import training


def test_losses_have_a_line_per_term_and_a_band_over_seeds():
    table = pd.DataFrame(
        [("audio", seed, epoch, seed + epoch, 2.0) for seed in (0, 2) for epoch in range(3)],
        columns=["leaf", "seed", "epoch", "inter", "intra"],
    )
    (axis,) = training.training_losses(table).axes
    inter, intra = axis.lines
    assert (inter.get_label(), intra.get_label()) == ("inter", "intra")
    assert inter.get_ydata().tolist() == [1, 2, 3] and intra.get_ydata().tolist() == [2, 2, 2]
    assert len(axis.collections) == 2


def test_the_losses_of_a_leaf_are_titled_with_their_change_and_compared_with_the_batch():
    table = pd.DataFrame(
        [("audio", 0, epoch, 4.0 - epoch, 2.0) for epoch in range(3)],
        columns=["leaf", "seed", "epoch", "inter", "intra"],
    )
    (axis,) = training.training_losses(table, batches={"audio": 64}).axes
    assert axis.get_title() == "audio leaf: inter 4.00 → 2.00, intra 2.00 → 2.00"
    assert axis.lines[-1].get_ydata() == pytest.approx([math.log(64)] * 2)
    assert axis.texts[0].get_text() == "ln 64"


def test_the_scheme_of_a_projector_names_the_modalities():
    texts = [text.get_text() for text in training.scheme("audio", "text", "image").axes[0].texts]
    assert sum("audio" in text for text in texts) == 2
    assert sum("text" in text for text in texts) == 3 and sum("image" in t for t in texts) == 1


@pytest.mark.parametrize(
    ("scores", "right", "wanted"),
    [
        ([[3, 2, 1]], [[1, 0, 0]], 1),
        ([[3, 2, 1]], [[0, 1, 0]], 1 / 2),
        ([[3, 2, 1]], [[0, 1, 1]], (1 / 2 + 2 / 3) / 2),
        ([[3, 2, 1], [1, 2, 3]], [[1, 0, 0], [1, 0, 0]], (1 + 1 / 3) / 2),
        ([[3, 2, 1], [1, 2, 3]], [[1, 0, 0], [0, 0, 0]], 1),
        ([[3, 2, 1]], [[0, 0, 0]], math.nan),
    ],
)
def test_average_precision_is_that_of_a_small_table(scores, right, wanted):
    found = training.mean_average_precision(np.array(scores, float), np.array(right, bool))
    assert found == pytest.approx(wanted, nan_ok=True)


def test_validation_compares_concepts_in_the_base(tmp_path):
    class Bank(SimpleNamespace):
        def __len__(self):
            return len(self.ids)

    banks = {
        "audio": Bank(ids=np.array(["s0", "s1", "s2"]), vectors=np.eye(3)),
        "image": Bank(ids=np.array(["i0", "i1", "i2"]), vectors=np.eye(3)),
    }
    concepts = {"s0": "dog", "s1": "cat", "s2": "", "i0": "cat", "i1": "dog", "i2": ""}
    items = pd.DataFrame({"id": list(concepts), "concept": list(concepts.values())})
    project = SimpleNamespace(
        params=SimpleNamespace(base_space="base", leaf_space=lambda leaf: "own"),
        other_modality=lambda leaf: "image",
        items=items,
        bank=lambda space, modality, split: banks[modality],
        bank_path=lambda space, modality, split: tmp_path / space / modality / split,
    )
    leaf = SimpleNamespace(modality="audio")
    swap = np.eye(3)[[1, 0, 2]]
    assert math.isnan(training.validation_map(project, leaf, lambda v: v)), "no banks yet"
    for place in ("own/audio/val", "base/image/val"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "manifest.json").touch()
    assert training.validation_map(project, leaf, lambda v: v @ swap) == 1
    assert training.validation_map(project, leaf, lambda v: -v @ swap) == pytest.approx(1 / 3)
