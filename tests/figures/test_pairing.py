"""Weights of the aggregation against a softmax written out, and what it pairs."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from exmcr.common.errors import ConfigError
from exmcr.figures import pairing
from exmcr.pairing import pairs
from exmcr.pairing.pools import Pools

TAU = 0.2


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
    project.items.loc[[1, 3], "concept"] = ""

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
    assert not {query.id for query in queries} & {"audio/1", "audio/3"}, "they have no concept"
    for query, line, good in zip(queries, answers, right, strict=True):
        vector = made["y_base"].numpy()[int(query.id.removeprefix("audio/"))]
        assert [row.id for row in line] == images[np.argsort(-p.y_base @ vector)[:3]].tolist()
        assert good == [row.concept == "dog" for row in line]


def test_the_way_of_an_item_names_the_overlap_items_with_the_largest_weights(project):
    p = project.pools(None)
    p.ids = {"x": np.array([f"x{n}" for n in range(7)]), "o": np.array([f"o{n}" for n in range(5)])}
    ids = [*p.ids["x"], *p.ids["o"]]
    captions = ["", *(f"sound {n}" for n in range(1, 7)), *(f"word {n}" for n in range(5))]
    project.items = pd.DataFrame({"id": ids, "caption": captions, "concept": "c"})
    way = pairing.between(project, project.leaves[0], n=3, k=2)
    assert way.index.tolist() == ["x1", "x3", "x6"], "those with a caption, at even distances"
    weights = softmax(p.x_leaf[[1, 3, 6]], p.o_leaf)
    for rank in range(2):
        best = np.argsort(-weights, axis=1)[:, rank]
        shares = 100 * np.take_along_axis(weights, best[:, None], axis=1)[:, 0]
        wanted = [f"word {b} ({share:.0f} %)" for b, share in zip(best, shares)]
        assert way[f"neighbor {rank + 1}"].tolist() == wanted


def test_near_duplicates_are_shown_once_and_the_order_is_kept():
    vectors = np.array([[1, 0], [0.999, 0.04], [0, 1], [0.04, 0.999], [-1, 0]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert pairing.distinct(vectors, np.array([1, 0, 3, 2, 4]), 5) == [1, 3, 4]
    assert pairing.distinct(vectors, np.arange(5), 2) == [0, 2]
