"""Nearest neighbors against literal counts."""

import numpy as np
import pandas as pd
import pytest

from exmcr.figures import maps, neighbors

RNG = np.random.default_rng(0)


def unit(v):
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@pytest.mark.parametrize("cosine", [True, False])
def test_neighbors_are_the_nearest_other_rows(cosine):
    points = unit(RNG.normal(size=(12, 5))) if cosine else RNG.normal(size=(12, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    wanted = [
        [j for j in np.argsort(row, kind="stable") if j != i][:3] for i, row in enumerate(distance)
    ]
    assert neighbors.neighbors(points, 3, cosine).tolist() == wanted


def test_kept_is_the_share_of_neighbors_in_common():
    a, b = np.array([[1, 2], [3, 4]]), np.array([[2, 1], [5, 3]])
    assert neighbors.kept(a, a) == 1 and neighbors.kept(a, b) == 0.75


ROWS = pd.DataFrame(
    {
        "modality": ["image", "image", "audio", "audio", "audio"],
        "concept": ["dog", "", "dog", "cat", ""],
        "caption": list("abcde"),
    }
)
VECTORS = np.eye(3)[[0, 1, 0, 1, 2]]


def test_the_share_of_the_same_concept_has_its_chance_beside_it():
    found = neighbors.same_concept(VECTORS, ROWS, k=1).set_index(["from", "to"])
    assert found.n.to_dict() == {("image", "audio"): 1, ("audio", "image"): 2}
    assert found.share["image", "audio"] == 1 and found.chance["image", "audio"] == 0.5
    assert found.share["audio", "image"] == 0.5 and found.chance["audio", "image"] == 0.5


def test_the_nearest_item_of_each_modality_is_never_the_item_itself():
    item, found = neighbors.nearest_of_each(VECTORS, ROWS, 0)
    assert item.caption == "a" and found.caption.tolist() == ["b", "c"]
    assert found.right.tolist() == [False, True] and found.score.tolist() == [0, 1]


def test_two_maps_agree_on_distances_between_modalities_or_not():
    rows = pd.DataFrame({"modality": ["text", "image", "audio"]})
    near = np.array([[0.0, 0], [1, 0], [4, 0]])
    assert maps.centers_moved(near, 3 * near, rows) == pytest.approx(1)
    assert maps.centers_moved(near, np.array([[0.0, 0], [9, 0], [4, 0]]), rows) < 0.5
    assert np.isnan(maps.centers_moved(near[:2], near[:2], rows[:2]))
