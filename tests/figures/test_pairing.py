"""Weights of the aggregation against a softmax written out, and curves of training."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from exmcr.common.errors import ConfigError
from exmcr.figures import pairing, spaces, training
from exmcr.pairing import pairs
from exmcr.pairing.pools import Pools

TAU = 0.2


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows(n, seed):
    found = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def project(tmp_path):
    pools = Pools(
        rows(7, 0),
        rows(5, 1),
        rows(5, 2),
        rows(9, 3),
        {"leaf": "a", "x": "audio", "o": "text", "y": "image"},
    )
    pairs.build(pools, tmp_path / "a", ["overlap", "leaf", "base"], TAU)
    params = SimpleNamespace(pair=SimpleNamespace(tau1=TAU, centers=["overlap", "leaf", "base"]))
    leaf = SimpleNamespace(name="a", modality="audio", overlap="text")
    return SimpleNamespace(
        params=params,
        leaves=[leaf],
        pools=lambda leaf: pools,
        pairs_path=lambda name: tmp_path / name,
    )


def softmax(queries, keys):
    scores = np.exp(queries.astype(np.float64) @ keys.T / TAU)
    return scores / scores.sum(axis=1, keepdims=True)


def test_neighbors_are_counted_by_their_weights(project):
    p, found = project.pools(None), pairing.effective_neighbors(project)
    for center, queries, keys in (
        ("overlap", p.o_leaf, p.x_leaf),
        ("leaf", p.x_leaf, p.o_leaf),
        ("base", p.y_base, p.o_base),
    ):
        wanted = 1 / (softmax(queries, keys) ** 2).sum(axis=1)
        np.testing.assert_allclose(found[found.center == center].neighbors, wanted, rtol=1e-4)
    assert len(pairing.neighbors(found).axes[0].get_legend().get_texts()) == 3


def test_the_weight_in_the_top_k_is_that_of_the_sorted_softmax(project):
    p, found = project.pools(None), pairing.weight_in_top_k(project)
    assert found.groupby(["center", "bank"], sort=False).ngroups == 6
    assert found.bank.unique().tolist() == [
        "audio (leaf)",
        "image (base)",
        "text (leaf)",
        "text (base)",
    ]
    assert found[found.bank == "image (base)"].k.unique().tolist() == [1, 2, 4, 8, 9]
    assert found[found.k == found["size"]].mass.to_numpy() == pytest.approx(1, abs=1e-5)
    one = found[(found.center == "overlap") & (found.bank == "audio (leaf)")].set_index("k")
    heaviest = np.sort(softmax(p.o_leaf, p.x_leaf), axis=1)[:, ::-1].cumsum(axis=1)
    np.testing.assert_allclose(one.mass, heaviest.mean(axis=0)[one.index - 1], rtol=1e-4)
    np.testing.assert_allclose(
        one.low, np.quantile(heaviest, 0.05, axis=0)[one.index - 1], rtol=1e-4
    )
    # The second aggregation of the leaf center starts from the overlap vector that the first one found.
    overlap = pairs.load(project.pairs_path("a"), ["leaf"])["o_base"].numpy()
    two = found[(found.center == "leaf") & (found.bank == "image (base)")].set_index("k")
    np.testing.assert_allclose(
        two.mass[1], softmax(overlap, p.y_base).max(axis=1).mean(), rtol=1e-4
    )
    assert len(pairing.top_mass(found).axes[0].lines) == 6 + 1


def test_a_center_that_the_figures_do_not_know_is_an_error(project):
    project.params.pair.centers = ["leaf", "middle"]
    with pytest.raises(ConfigError, match="unknown center 'middle'; known: overlap, leaf, base"):
        pairing.effective_neighbors(project)


def test_pseudo_pairs_are_the_items_nearest_to_the_paired_vector(project):
    made, p = pairs.load(project.pairs_path("a"), ["leaf"]), project.pools(None)
    sounds, images = (
        np.array([f"{kind}/{n}" for n in range(many)], object)
        for kind, many in (("audio", 7), ("image", 9))
    )
    ids = [*sounds, *images]
    project.items = pd.DataFrame({"id": ids, "concept": ["dog"] * 7 + ["dog"] * 4 + ["cat"] * 5})

    class Bank(SimpleNamespace):
        def __len__(self):
            return len(self.ids)

    banks = {
        ("own", "audio"): Bank(ids=sounds, vectors=p.x_leaf),
        ("base", "image"): Bank(ids=images, vectors=p.y_base),
    }
    project.bank = lambda space, modality, split: banks[space, modality]
    project.params.leaf_space, project.params.base_space = lambda leaf: "own", "base"
    project.other_modality = lambda leaf: "image"
    queries, answers, right = pairing.pseudo_pairs(project, project.leaves[0], n=4, answers=3)
    assert len({query.id for query in queries}) == 4
    for query, line, good in zip(queries, answers, right, strict=True):
        vector = made["y_base"].numpy()[int(query.id.removeprefix("audio/"))]
        assert [row.id for row in line] == images[np.argsort(-p.y_base @ vector)[:3]].tolist()
        assert good == [row.concept == "dog" for row in line]


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


def test_losses_of_the_mini_spaces_are_bars_of_names_and_fitted():
    rows = [("s", step, "image-text", loss) for step, loss in (("names", 0.8), ("fitted", 0.2))]
    table = pd.DataFrame(rows, columns=["space", "step", "pair", "loss"])
    (axis,) = spaces.space_losses(table).axes
    assert axis.get_title() == "s"
    assert [bar.get_height() for bar in axis.patches] == [0.8, 0.2]


@pytest.fixture
def banks(tmp_path):
    """A project with two modalities in one space: all vectors of a modality coincide."""
    vectors = {
        "image": np.tile(np.float32([1, 0]), (5, 1)),
        "smell": np.tile(np.float32([0.6, 0.8]), (5, 1)),
    }
    for name in vectors:
        (tmp_path / "one" / name / "train").mkdir(parents=True)
        (tmp_path / "one" / name / "train/manifest.json").write_text("{}")
    (tmp_path / "one/text/test").mkdir(parents=True)  # no training bank
    bank = lambda space, modality, split: SimpleNamespace(vectors=vectors[modality])
    return SimpleNamespace(banks=tmp_path, spaces=["one"], bank=bank)


def test_cosines_are_within_and_between_the_training_banks(banks, smell):
    found = spaces.bank_cosines(banks, pairs_per_bank=50)
    assert list(found) == ["one"] and list(found["one"]) == [
        "image – image",
        "image – smell",
        "smell – smell",
    ]
    assert len(found["one"]["image – image"]) == 0, "an item and itself"
    assert found["one"]["image – smell"] == pytest.approx(np.full(50, 0.6))
    figure = spaces.cosines({"one": {"image – smell": found["one"]["image – smell"]}})
    assert figure.axes[0].get_title() == "one"


def test_a_bank_of_a_modality_that_is_not_registered_is_an_error(banks):
    with pytest.raises(ConfigError, match="unknown modality 'smell'"):
        spaces.bank_cosines(banks)
