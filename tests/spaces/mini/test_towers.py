"""The towers of the mini spaces: each formula against loops, and what the fit promises."""

import numpy as np
import pytest

from exmcr.spaces.mini import towers, vectors
from exmcr.spaces.mini.towers import DIM, LOOKS, TEXT, Named, Parts

SETTINGS = {
    "names": 3,
    "power": 0.5,
    "prior": 0.01,
    "width": 0.5,
    "ridge": 0.1,
    "whiten": 0.25,
    "looks": 0.0,
    "steps": 0,
    "tau": 0.15,
    "seed": 3,
}
CLASSES, SIZE = 7, 12
PARTS = Parts(scores=slice(SIZE, SIZE + CLASSES), appearance=slice(0, SIZE), looks=slice(0, SIZE))


def norm(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def data():
    """Forty items in eight clusters, their class probabilities and the texts of the clusters."""
    rng = np.random.default_rng(0)
    things = np.repeat(np.arange(8), 5)
    looks = norm(rng.normal(size=(8, SIZE))[things] + 0.2 * rng.normal(size=(40, SIZE)))
    scores = rng.dirichlet(np.ones(CLASSES), 8)[things]
    texts = norm(rng.normal(size=(8, TEXT)) + 0.5 * rng.normal(size=TEXT)).astype(np.float32)
    names = norm(rng.normal(size=(CLASSES, TEXT)))
    return np.concatenate([looks, scores], 1).astype(np.float32), things, texts, names


def fitted(data, **changes):
    features, things, texts, names = data
    settings = SETTINGS | {k: v for k, v in changes.items() if k in SETTINGS}
    text = towers.fit_text(texts, settings["whiten"], settings["seed"])
    targets = towers.map_text(text, texts[things])
    more = {k: v for k, v in changes.items() if k not in SETTINGS}
    return Named.fit(features, targets, names, text, PARTS, settings, **more), text, targets


def test_without_whitening_texts_are_centered_and_rotated(data):
    texts = data[2]
    out = towers.map_text(towers.fit_text(texts, 0.0, 5), texts)
    centered = norm(texts - texts.mean(0))
    assert out.shape == (8, DIM) and out.dtype == np.float32
    np.testing.assert_allclose(out @ out.T, centered @ centered.T, atol=1e-5)


def test_whitening_divides_by_a_power_of_the_variance(data):
    texts = data[2].astype(np.float64)
    covariance = np.cov(texts, rowvar=False, bias=True)
    covariance += 0.1 * np.trace(covariance) / TEXT * np.eye(TEXT)
    for power in (0.25, 0.5):
        values, axes = np.linalg.eigh(covariance)
        expected = norm((texts - texts.mean(0)) @ axes * values**-power)
        out = towers.map_text(towers.fit_text(data[2], power, 0), data[2])
        np.testing.assert_allclose(out @ out.T, expected @ expected.T, atol=1e-4)


def test_spaces_of_different_seeds_share_no_axes(data):
    a, b = (towers.map_text(towers.fit_text(data[2], 0.25, seed), data[2]) for seed in (0, 1))
    np.testing.assert_allclose(a @ a.T, b @ b.T, atol=1e-5)
    assert np.abs((a * b).sum(1)).max() < 0.2


def test_a_single_caption_and_a_single_item_can_be_fitted(data):
    features, _, texts, names = data
    text = towers.fit_text(texts[:1], 0.25, 0)
    targets = np.zeros((1, DIM), np.float32)
    tower = Named.fit(features[:1], targets, names, text, PARTS, SETTINGS | {"looks": 1.0})
    assert np.isfinite(tower(features)).all()


def test_the_names_count_by_how_much_likelier_they_are_than_usual(data):
    features, _, _, names = data
    tower, _, _ = fitted(data)
    scores = features[:, SIZE:].astype(np.float64)
    for row in (0, 17):
        ratio = [scores[row, c] / (scores[:, c].mean() + 0.01) for c in range(CLASSES)]
        total = np.zeros(TEXT)
        for c in sorted(range(CLASSES), key=lambda c: -ratio[c])[:3]:
            total += ratio[c] ** 0.5 * names[c]
        np.testing.assert_allclose(tower._sentences(features)[row], norm(total), atol=1e-5)


def test_a_start_is_the_place_of_the_mean_sentence_on_the_map_of_the_texts(data):
    features = data[0]
    tower, text, _ = fitted(data)
    sentences = tower._sentences(features)
    expected = norm((sentences - sentences.mean(0)) @ text["map"])
    np.testing.assert_allclose(tower.start(features), expected, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_correction_is_a_kernel_ridge_regression_of_the_remaining_error(data, weighted):
    features = data[0].astype(np.float64)
    weights = np.linspace(0.5, 2, 40) if weighted else None
    tower, _, targets = fitted(data, weights=weights)
    looks, new = features[:, :SIZE], data[0][:5] + np.float32(0.1)
    distances = np.array([[((a - b) ** 2).sum() for b in looks] for a in looks])
    width = 0.5 * np.median(distances)
    kernel = np.exp(-distances / width) + 0.1 * np.diag(
        1 / (np.ones(40) if weights is None else weights)
    )
    solved = np.linalg.solve(kernel, targets - tower.start(data[0]))
    near = np.exp(-((new[:, None, :SIZE] - looks[None]) ** 2).sum(2) / width)
    expected = norm(tower.start(new) + near @ solved)
    np.testing.assert_allclose(tower(new), expected, atol=1e-4)


def test_the_fit_brings_training_items_to_their_captions_and_leaves_far_items_at_their_names(data):
    features, things, texts, _ = data
    tower, text, targets = fitted(data)
    before, after = ((step(features) * targets).sum(1).mean() for step in (tower.start, tower))
    assert after > 0.9 > 0.5 > before
    similarity = tower(features) @ towers.map_text(text, texts).T
    assert (similarity.argmax(1) == things).all()
    far = features.copy()
    far[:, :SIZE] += 10
    np.testing.assert_allclose(tower(far), tower.start(far), atol=1e-5)


def test_looks_lie_on_axes_that_texts_leave_empty(data):
    features, things, texts, _ = data
    plain, text, _ = fitted(data)
    with_looks, _, _ = fitted(data, looks=0.5)
    vectors, words = with_looks(features), towers.map_text(text, texts)
    # A part of norm 0.5 at a right angle to the part that texts share.
    np.testing.assert_allclose(vectors @ words.T, plain(features) @ words.T / 1.25**0.5, atol=1e-5)
    look = with_looks.look(features)
    assert look.shape == (40, LOOKS)
    expected = plain(features) @ plain(features).T + 0.25 * look @ look.T
    np.testing.assert_allclose(vectors @ vectors.T, expected / 1.25, atol=1e-5)
    centered = features[:, :SIZE] - features[:, :SIZE].mean(0)
    np.testing.assert_allclose(look @ look.T, norm(centered) @ norm(centered).T, atol=1e-4)


def test_a_modality_learns_the_looks_of_another(data):
    """Shapes with another appearance, whose looks are given by their icons."""
    features, things, texts, names = data
    icons, text, targets = fitted(data, looks=1.0)
    shown = icons.look(features)
    turned = features.copy()
    turned[:, :SIZE] = (
        features[:, SIZE - 1 :: -1] if SIZE == features.shape[1] else features[:, :SIZE][:, ::-1]
    )
    parts = Parts(scores=PARTS.scores, appearance=PARTS.appearance)
    shapes = Named.fit(turned, targets, names, text, parts, SETTINGS | {"looks": 1.0}, looks=shown)
    assert (shapes.look(turned) * shown).sum(1).mean() > 0.8
    assert ((shapes(turned) @ icons(features).T).argmax(1) // 5 == things).mean() > 0.95


def test_a_fit_is_the_same_every_time(data):
    first, second = (fitted(data, looks=1.0)[0] for _ in range(2))
    assert first.arrays.keys() == second.arrays.keys()
    for name, array in first.arrays.items():
        assert np.array_equal(array, second.arrays[name]) and array.dtype == np.float32
        assert array.flags.c_contiguous, "safetensors stores memory as it lies"


def test_a_stored_tower_lacks_nothing_silently(data):
    tower, _, _ = fitted(data, looks=1.0)
    for name in tower.arrays:
        arrays = {k: v for k, v in tower.arrays.items() if k != name}
        with pytest.raises(KeyError, match=name):
            Named.from_arrays(arrays, PARTS, SETTINGS | {"looks": 1.0})


@pytest.mark.parametrize(("n", "d", "count"), [(60, 12, 5), (8, 30, 5), (3, 30, 8)])
def test_principal_axes_are_those_of_an_svd(n, d, count):
    rows = np.random.default_rng(0).normal(size=(n, d)) * np.linspace(3, 1, d) + 2
    found = vectors.principal_axes(rows.astype(np.float32), count)
    assert found.shape == (min(n, count), d)
    known = min(len(found), n - 1)  # centered rows have n - 1 directions; the next is arbitrary
    expected = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:known]
    np.testing.assert_allclose(np.abs((found[:known] * expected).sum(1)), 1, atol=1e-4)
    np.testing.assert_allclose(found @ found.T, np.eye(len(found)), atol=1e-6)


def test_each_part_of_a_row_has_unit_norm_and_zeros_stay():
    rows = np.array([[3.0, 4.0, 5.0], [0.0, 0.0, -2.0]])
    np.testing.assert_allclose(vectors.unit_parts(rows, (2, 1)), [[0.6, 0.8, 1], [0, 0, -1]])


def test_a_tower_with_steps_adds_the_map_to_the_fitted_vector(data):
    features = data[0]
    plain, _, _ = fitted(data)
    tower, _, _ = fitted(data, steps=5)
    again, _, _ = fitted(data, steps=5)
    shift = features[:, : PARTS.appearance.stop] @ tower.arrays["linear"] - tower.arrays["offset"]
    assert np.abs(shift).max() > 1e-4
    np.testing.assert_allclose(tower(features), norm(plain(features) + shift), atol=1e-5)
    assert np.array_equal(tower.arrays["linear"], again.arrays["linear"])


def test_the_groups_decide_what_the_map_is_trained_on(data):
    clusters = data[1]
    alone, _, _ = fitted(data, steps=5)
    grouped, _, _ = fitted(data, steps=5, groups=clusters)
    assert not np.allclose(alone.arrays["linear"], grouped.arrays["linear"], atol=1e-6)


def test_a_stored_tower_with_steps_needs_its_map(data):
    tower, _, _ = fitted(data, steps=5)
    arrays = {k: v for k, v in tower.arrays.items() if k != "linear"}
    with pytest.raises(KeyError, match="linear"):
        Named.from_arrays(arrays, PARTS, SETTINGS | {"steps": 5})
