"""The nearest items of a bank, example queries, players, and the figures of notebook 06_search."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from exmcr.banks import extraction
from exmcr.banks.bank import Bank
from exmcr.common.errors import ConfigError
from exmcr.figures import items as figures
from exmcr.media.sounds import Sound
from exmcr.model import search
from exmcr.model.exmcr import Base, ExMCR, Leaf
from exmcr.training.projectors import Projector


@pytest.fixture
def project(tmp_path):
    """Ten test items of each modality; pictures in a base of 8 dimensions, sounds in a leaf of 6."""
    rng = np.random.default_rng(0)
    rows = [
        (f"{m}/{n}", m, f"{m} <{n}>", "bell" if n == 7 else "drum", "test" if n else "train")
        for m in ("image", "audio", "points")
        for n in range(11)
    ]
    items = pd.DataFrame(rows, columns=["id", "modality", "caption", "concept", "split"])
    for space, modality, dim in (("b", "image", 8), ("l", "audio", 6)):
        wanted = items[(items.modality == modality) & (items.split == "test")]
        fake = SimpleNamespace(
            name=space,
            dim=dim,
            fingerprint=space,
            encode_loaded=lambda modality, rows: np.stack(rows),
        )
        extraction.extract(
            fake,
            modality,
            wanted,
            tmp_path / "banks" / space / modality / "test",
            lambda row, d=dim: unit(rng.normal(size=d)),
            progress=False,
        )
    raw = {
        "image": np.zeros((4, 4, 3), np.uint8),
        "audio": Sound(np.sin(np.arange(800) / 9).astype(np.float32), 8000),
        "points": rng.normal(size=(5000, 3)),
    }
    return SimpleNamespace(
        root=tmp_path,
        items=items,
        items_path=tmp_path / "data/items.parquet",
        bank=lambda space, modality, split: Bank(tmp_path / "banks" / space / modality / split),
        load_item=lambda row: raw[row.modality],
    )


def unit(vector):
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_search_gives_rows_of_the_table_best_first(project):
    torch.manual_seed(0)
    model = ExMCR(
        Base("b", "b", 8, ("image", "text")),
        [Leaf("l", "audio", "text", "l", "l", 6, {0: Projector(6, 8, 16)})],
        device="cpu",
    )
    query = unit(np.arange(8.0))[None]
    for modality, rows in (
        ("image", Bank(project.root / "banks/b/image/test").vectors),
        ("audio", model.project("l", Bank(project.root / "banks/l/audio/test"))),
    ):
        found = search.nearest(project, model, query, modality, k=3)
        order = np.argsort(-(rows @ query[0]))[:3]
        assert found.id.tolist() == [f"{modality}/{n + 1}" for n in order]
        np.testing.assert_allclose(found.score, (rows @ query[0])[order], atol=1e-5)
    assert len(search.nearest(project, model, query, "image", k=99)) == 10  # no more than there are


def test_a_bank_of_items_that_are_not_in_the_table_is_an_error(project):
    model = ExMCR(Base("b", "b", 8, ("image", "text")), [], device="cpu")
    project.items = project.items[project.items.id != "image/4"]
    with pytest.raises(ConfigError, match="'image/4'; run `exmcr extract` again"):
        search.nearest(project, model, unit(np.arange(8.0))[None], "image", k=10)


def test_example_is_of_the_concept_when_there_is_one(project):
    assert search.example(project, "audio", "bell").id == "audio/7"
    assert search.example(project, "audio", "drum").id == "audio/1"
    assert search.example(project, "audio", "flute").id == "audio/1"


def test_familiar_concepts_are_often_in_training_and_can_be_shown():
    train = (
        [("often", "audio")] * 3
        + [("twice", "audio")] * 2
        + [("no picture", "audio")] * 9
        + [("never heard", "image")] * 9
        + [("", "audio")] * 9
    )
    test = [(c, m) for c in ("twice", "often", "never heard", "") for m in ("audio", "image")] + [
        ("no picture", "audio")
    ]
    table = pd.DataFrame(
        [(*row, "train") for row in train] + [(*row, "test") for row in test],
        columns=["concept", "modality", "split"],
    ).assign(of="")
    icon = (
        table[table.concept == "twice"]
        .iloc[:1]
        .assign(concept="no picture", modality="image", split="test", of="x")
    )
    project = SimpleNamespace(items=pd.concat([table, icon]))
    assert search.familiar_concepts(project, "audio", 5) == [
        "often",
        "twice",
    ] and search.familiar_concepts(project, "audio", 1) == ["often"]


def test_players_are_of_sounds_only_and_captions_cannot_break_the_page(project):
    rows = project.items[project.items.id.isin(["audio/2", "image/3"])].assign(score=0.25)
    page = search.listen(project, rows).data
    assert page.count("<audio") == 1 and "audio &lt;2&gt; (0.25)" in page and "<2>" not in page


def test_clouds_to_turn(project):
    rows = project.items[project.items.id.isin(["points/2", "points/3"])].assign(score=0.5)
    figure = figures.turnable(rows, project.load_item, "title", most=300)
    assert [len(trace.x) for trace in figure.data] == [300, 300] and {
        trace.type for trace in figure.data
    } == {"scatter3d"}
    assert [a.text for a in figure.layout.annotations] == ["points <2> (0.50)", "points <3> (0.50)"]
    cloud = project.load_item(next(rows.itertuples()))
    np.testing.assert_allclose(
        [figure.data[0].x[0], figure.data[0].y[-1]], [cloud[0, 0], cloud[-1, 1]], atol=1e-4
    )


def test_answers_draw_a_line_per_question(project, tmp_path):
    table = project.items.assign(score=0.1)
    lines = {
        "one": table[table.modality == "image"].head(3),
        "two": table[table.modality == "audio"].head(2),
    }
    figure = figures.answers(lines, project.load_item, "title", tmp_path / "a.png")
    assert [axis.get_visible() for axis in figure.axes] == [True] * 5 + [False] and (
        tmp_path / "a.png"
    ).stat().st_size > 1000
    assert figure.axes[0].get_ylabel() == "one" and figure.axes[3].get_title().endswith("0.10")
