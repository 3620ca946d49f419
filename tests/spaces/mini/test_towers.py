"""The towers of the mini spaces: their start, their loss against loops, and a training on known pairs."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from exmcr.spaces.mini import towers
from exmcr.spaces.mini.towers import TEXT, Pairs, Tower, train

SETTINGS = {
    "epochs": 15,
    "batch": 32,
    "lr": 3e-3,
    "weight_decay": 0.01,
    "noise": 0.1,
    "temperature": 0.1,
    "seed": 0,
}


def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def two_towers(size=40):
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"image": Tower(size, 32, 0.1, None), "text": Tower(TEXT, 0, 0.1, slice(0, TEXT))}
    )


def known_pairs(n=96, size=40):
    """Images that are a linear image of eight numbers, and texts that are another; row i matches row i."""
    rng = np.random.default_rng(0)
    things = rng.normal(size=(n, 8))
    features = {
        "image": torch.tensor(things @ rng.normal(size=(8, size)), dtype=torch.float32),
        "text": unit(torch.tensor(things @ rng.normal(size=(8, TEXT)), dtype=torch.float32)),
    }
    rows = np.arange(n)
    return features, [Pairs("image", "text", rows, [np.array([row]) for row in rows], rows)]


def test_a_linear_tower_starts_as_a_rotation():
    features = torch.randn(50, TEXT)
    tower = Tower(TEXT, 0, 0.1, slice(0, TEXT))
    tower.start(torch.linalg.qr(torch.randn(towers.DIM, TEXT))[0], features)
    with torch.no_grad():
        out = tower(features)
    torch.testing.assert_close(out @ out.T, unit(features) @ unit(features).T, atol=1e-5, rtol=0)


def test_a_tower_is_a_linear_map_plus_a_perceptron_on_standardized_features():
    x = torch.randn(6, 10 + TEXT)
    tower = Tower(10 + TEXT, 16, 0.3, slice(10, 10 + TEXT)).eval()
    tower.start(torch.linalg.qr(torch.randn(towers.DIM, TEXT))[0], x)
    spread = x.std(0) + 0.05 * x.std(0).mean()
    with torch.no_grad():
        expected = tower.linear.weight @ x[2, 10:] + tower.mlp((x[2] - x.mean(0)) / spread)
        torch.testing.assert_close(tower(x)[2], expected / expected.norm(), atol=1e-6, rtol=1e-5)


def test_the_loss_equals_the_formula():
    """Over loops: each row's target is uniform over the rows of the same text or group."""
    modules, (features, _) = two_towers().eval(), known_pairs()
    a, b = np.array([3, 0, 5, 7]), [np.array([k]) for k in (1, 1, 4, 2)]
    pairs = Pairs(
        "image", "text", a, b, np.array([0, 1, 2, 0])
    )  # rows 0, 1 share a text; 0, 3 a group
    positives = [{0, 1, 3}, {0, 1}, {2}, {0, 3}]
    scale = math.log(10)
    loss = towers._contrast(
        modules, features, pairs, np.arange(4), torch.tensor(scale), 0.0, np.random.default_rng(0)
    )
    with torch.no_grad():
        x = modules["image"](features["image"][a])
        y = modules["text"](features["text"][[1, 1, 4, 2]])
    total = 0.0
    for i in range(4):
        row = [10 * float(x[i] @ y[j]) for j in range(4)]
        column = [10 * float(x[j] @ y[i]) for j in range(4)]
        for logits in (row, column):
            norm = math.log(sum(map(math.exp, logits)))
            total -= sum(logits[j] - norm for j in positives[i]) / len(positives[i])
    assert float(loss.detach()) == pytest.approx(total / 8, abs=1e-5)


def test_training_aligns_known_pairs_and_repeats_itself():
    features, pairs = known_pairs()
    runs = []
    for _ in range(2):
        modules = two_towers()
        history = train(modules, features, pairs, **SETTINGS, progress=False)
        with torch.no_grad():
            similarity = modules["image"](features["image"]) @ modules["text"](features["text"]).T
        runs.append((history, similarity))
        assert not modules.training
    (history, similarity), again = runs
    assert [set(record) for record in history] == 15 * [{"epoch", "image-text"}]
    assert history[-1]["image-text"] < history[0]["image-text"] / 2
    assert (similarity.argmax(1) == torch.arange(96)).float().mean() > 0.9  # chance is 0.01
    assert history == again[0] and torch.equal(similarity, again[1])


@pytest.mark.parametrize("epochs", [1, 3, 10, 11, 20])
def test_any_number_of_steps_has_a_schedule(epochs):
    """Three steps per epoch at batch 32, one at batch 96: 10 steps have a warm-up of exactly one."""
    features, pairs = known_pairs()
    for batch in (32, 96):
        settings = SETTINGS | {"epochs": epochs, "batch": batch}
        history = train(two_towers(), features, pairs, **settings, progress=False)
        assert np.isfinite([record["image-text"] for record in history]).all()
