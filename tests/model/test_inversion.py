"""Modality inversion through a tiny CLIP of open_clip with random weights, and through MiniLM."""

import numpy as np
import pytest
import torch
from stub_model import stub_model, use
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.model import inversion
from exmcr.model.exmcr import Base, ExMCR
from exmcr.spaces.clip import Clip

open_clip = pytest.importorskip("open_clip")
DIM, WIDTH, SIDE, PATCH, LENGTH = 24, 32, 32, 8, 12


class Tiny(Clip):
    """Clip with a network of two small layers per tower."""

    def __init__(self):
        torch.manual_seed(0)
        vision = {
            "image_size": SIDE,
            "patch_size": PATCH,
            "width": WIDTH,
            "layers": 2,
            "head_width": 8,
        }
        text = {"context_length": LENGTH, "width": WIDTH, "heads": 4, "layers": 2}
        self.model = open_clip.CLIP(DIM, vision, text).eval().requires_grad_(False)
        self.tokenize = open_clip.SimpleTokenizer(context_length=LENGTH)
        self.device, self.dim, self.fingerprint = "cpu", DIM, "tiny"


@pytest.fixture(scope="module")
def clip():
    return Tiny()


@pytest.fixture(scope="module")
def vectors():
    rows = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("modality", ["image", "text"])
def test_the_loss_falls_and_the_vectors_are_unit_rows_near_their_targets(clip, vectors, modality):
    found = inversion.invert(clip, modality, vectors, steps=40)
    assert found.losses.shape == (41, 3) and (found.losses[-1] < found.losses[0] - 0.1).all()
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
    cosines = (found.vectors * vectors).sum(axis=1)
    np.testing.assert_allclose(1 - cosines, found.losses[-1], atol=1e-5)


@pytest.mark.parametrize("modality", ["image", "text"])
def test_the_gradient_equals_finite_differences(modality, vectors):
    space = Tiny()
    space.model.double()
    tower = inversion.tower(space, modality)
    targets = torch.tensor(vectors[:1], dtype=torch.float64)
    tokens = torch.randn(
        1, 1, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    tokens.requires_grad_()
    (gradient,) = torch.autograd.grad(inversion.loss_of(tower, tokens, targets).sum(), tokens)
    step = 1e-5
    with torch.no_grad():
        for place in range(0, WIDTH, 5):
            moved = torch.zeros_like(tokens)
            moved[0, 0, place] = step
            ends = [inversion.loss_of(tower, tokens + sign * moved, targets) for sign in (1, -1)]
            slope = float(ends[0] - ends[1]) / (2 * step)
            assert abs(slope - float(gradient[0, 0, place])) < 1e-7
    assert gradient.abs().max() > 1e-3


def test_a_pseudo_word_that_is_a_word_gives_the_vector_of_its_text(clip):
    tower = inversion.tower(clip, "image")
    word = clip.model.token_embedding.weight[clip.tokenize(["dog"])[0, 1]]
    text = clip.model.encode_text(clip.tokenize(["a photo of dog"]))
    torch.testing.assert_close(tower.encode(word[None, None]), text)


@pytest.mark.parametrize("pool", ["argmax", "last"])
def test_positions_behind_the_text_are_left_out_where_they_do_not_matter(pool):
    space, seen = Tiny(), []
    space.model.text_pool_type = pool
    space.model.transformer.register_forward_hook(lambda m, i, output: seen.append(output.shape[1]))
    tower = inversion.tower(space, "image")
    word = space.model.token_embedding.weight[space.tokenize(["dog"])[0, 1]]
    vector = tower.encode(word[None, None])
    torch.testing.assert_close(vector, space.model.encode_text(space.tokenize(["a photo of dog"])))
    assert seen == ([6, LENGTH] if pool == "argmax" else [LENGTH, LENGTH])


def test_a_patch_of_a_plain_image_gives_the_vector_of_that_image(clip):
    tower, plain = inversion.tower(clip, "text"), torch.full((1, 3, SIDE, SIDE), 0.7)
    patch = clip.model.visual.conv1(plain)[:, :, 0, 0]
    torch.testing.assert_close(tower.encode(patch[None]), clip.model.encode_image(plain))


def test_several_patches_fill_equal_runs_of_the_image():
    patches = torch.zeros(1, 2, 4, 4)
    filled = inversion._as_patches(torch.arange(8.0).reshape(1, 4, 2), patches)
    assert filled[0, 0].tolist() == [[0] * 4, [2] * 4, [4] * 4, [6] * 4]
    assert filled[0, 1].tolist() == [[1] * 4, [3] * 4, [5] * 4, [7] * 4]


def test_a_result_depends_on_neither_the_call_nor_the_other_queries(clip, vectors, monkeypatch):
    first = inversion.invert(clip, "image", vectors, steps=10).vectors
    assert (first == inversion.invert(clip, "image", vectors, steps=10).vectors).all()
    alone = inversion.invert(clip, "image", vectors[1:2], steps=10).vectors
    np.testing.assert_allclose(alone, first[1:2], atol=1e-4)
    monkeypatch.setattr(inversion, "BATCH", 2)
    np.testing.assert_allclose(
        inversion.invert(clip, "image", vectors, steps=10).vectors, first, atol=1e-4
    )
    other = inversion.invert(clip, "image", vectors, steps=10, seed=1).vectors
    assert np.abs(other - first).max() > 1e-3


def test_inversion_leaves_the_encoder_as_it_was(clip, vectors):
    ids = clip.tokenize(["a photo of x"])
    before = clip.model.encode_text(ids)
    inversion.invert(clip, "image", vectors, steps=2)
    inversion.invert(clip, "text", vectors, steps=2)
    assert (clip.model.encode_text(ids) == before).all()
    assert not any(parameter.requires_grad for parameter in clip.model.parameters())
    assert inversion.invert(clip, "text", vectors[:0], steps=2).vectors.shape == (0, DIM)


def test_a_text_tower_in_a_module_of_its_own_is_inverted_too(vectors):
    space = Tiny()
    torch.manual_seed(0)
    text = {"context_length": LENGTH, "width": WIDTH, "heads": 4, "layers": 2}
    vision = {"image_size": SIDE, "patch_size": PATCH, "width": WIDTH, "layers": 1, "head_width": 8}
    space.model = open_clip.CustomTextCLIP(DIM, vision, text).eval().requires_grad_(False)
    found = inversion.invert(space, "image", vectors, steps=20)
    assert (found.losses[-1] < found.losses[0]).all()


def test_towers_without_the_layer_are_refused(clip):
    space = Tiny()
    space.model.visual = torch.nn.Identity()
    with pytest.raises(ConfigError, match="the image tower of space 'clip' is not a ViT"):
        inversion.tower(space, "text")
    space.model.token_embedding = torch.nn.Identity()
    with pytest.raises(ConfigError, match="the text tower of space 'clip' has no token embedding"):
        inversion.tower(space, "image")


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"lr": 0.0}, {"tokens": 0}, {"lr": float("nan")}])
def test_wrong_settings_are_an_error(clip, vectors, wrong):
    with pytest.raises(ConfigError, match="inversion needs"):
        inversion.invert(clip, "text", vectors, **wrong)


@pytest.mark.parametrize("modality", ["audio", "points", "smell"])
def test_a_modality_other_than_image_and_text_is_refused(clip, vectors, modality):
    for call in (
        lambda: inversion.tower(clip, modality),
        lambda: inversion.invert(clip, modality, vectors),
        lambda: inversion.invert(clip, modality, vectors, steps=1),
    ):
        with pytest.raises(
            ConfigError, match=f"^only images and texts can be inverted, not {modality}$"
        ):
            call()


# of a model


def test_a_model_inverts_images_and_texts_of_its_base(clip, vectors):
    model = ExMCR(Base("clip", "tiny", DIM, ("image", "text")), [], device="cpu")
    model._spaces["clip"] = clip
    for modality in ("image", "text"):
        rows = inversion.invert_in_base(model, modality, vectors, steps=5)
        expected = inversion.invert(clip, modality, vectors, steps=5).vectors
        assert (rows == expected).all()
    model.base.heads[0] = torch.nn.Linear(DIM, DIM)
    with pytest.raises(ConfigError, match="a model of C-MCR cannot invert"):
        inversion.invert_in_base(model, "image", vectors)


def test_another_modality_and_another_encoder_are_one_line(monkeypatch):
    use(monkeypatch)
    model = stub_model()
    with pytest.raises(ConfigError, match="only images and texts of the base .* not audio"):
        inversion.invert_in_base(model, "audio", np.ones((1, 16), np.float32))
    with pytest.raises(
        ConfigError, match="space 'base' cannot invert texts: only clip and the mini"
    ):
        inversion.invert_in_base(model, "text", np.ones((1, 16), np.float32))


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """The mini base with a random map of texts."""
    from exmcr.spaces.mini.image_text import MiniImageText
    from exmcr.spaces.mini.towers import DIM, TEXT

    space = MiniImageText.untrained(tmp_path_factory.mktemp("mini"))
    rng = np.random.default_rng(0)
    center, matrix = rng.normal(size=TEXT) * 0.02, rng.normal(size=(TEXT, DIM))
    space._text = {"center": center.astype(np.float32), "map": matrix.astype(np.float32)}
    return space


def test_a_word_of_the_mini_space_gives_the_vector_of_its_text(mini):
    tower = inversion.tower(mini, "image")
    network, tokenizer = mini.backbone("text").backbone.network()
    embedding = network.model.embeddings.word_embeddings
    word = embedding.weight[tokenizer.encode("dog").ids[1]]
    vector = normalize(tower.encode(word[None, None])).numpy()
    np.testing.assert_allclose(vector, mini.encode("text", ["a photo of dog"]), atol=1e-5)


def test_images_of_the_mini_space_are_inverted_and_texts_are_refused(mini):
    target = mini.encode("text", ["a photo of a red car"])
    found = inversion.invert(mini, "image", target, steps=25)
    assert found.losses[-1, 0] < found.losses[0, 0] - 0.05
    with pytest.raises(
        ConfigError, match="cannot invert texts: it picks the likeliest class names"
    ):
        inversion.tower(mini, "text")
