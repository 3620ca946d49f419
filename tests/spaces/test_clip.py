"""CLIP: random weights in the published file formats, loaded by load_space, encode as open_clip does."""

import argparse
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from exmcr.common.errors import BadItem, ConfigError
from exmcr.spaces import load_space

DEMO = Path(
    os.environ.get("EXMCR_AUTHORS_DEMO", Path(__file__).parents[3] / "shared/data/authors-demo")
)
MODEL = "ViT-B-32-quickgelu"
TEXTS = ["a toilet", "BBQ", "a train that is " + "very " * 100 + "long"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clip_weights):
    """The same weights in two formats."""
    folder = tmp_path_factory.mktemp("clip")
    (folder / "clip.safetensors").symlink_to(clip_weights)
    state = load_file(clip_weights)
    torch.save(
        {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
        folder / "clip.pt",
    )
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def space(folder):
    return load_space("clip", checkpoint=folder / "clip.safetensors", device="cpu", batch_size=2)


@pytest.fixture(scope="module")
def image_paths(tmp_path_factory):
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    paths = []
    for k, size in enumerate([(300, 200), (100, 224), (500, 333)]):
        paths.append(folder / f"{k}.png")
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(paths[-1])
    return paths


def test_embeddings_equal_those_of_open_clip(space, folder, image_paths):
    model, _, preprocess = open_clip.create_model_and_transforms(
        MODEL, pretrained=str(folder / "clip.safetensors")
    )
    model.eval()
    with torch.inference_mode():
        images = model.encode_image(
            torch.stack([preprocess(Image.open(path)) for path in image_paths]), normalize=True
        )
        texts = model.encode_text(open_clip.get_tokenizer(MODEL)(TEXTS), normalize=True)
    assert (space.name, space.dim, space.modalities) == ("clip", 512, ("image", "text"))
    np.testing.assert_allclose(space.encode("image", image_paths), images.numpy(), atol=1e-6)
    np.testing.assert_allclose(space.encode("text", TEXTS), texts.numpy(), atol=1e-6)
    np.testing.assert_allclose(space.encode("text", TEXTS[:1]), texts.numpy()[:1], atol=1e-6)


def test_linear_layers_run_on_onednn(space, image_paths, onednn_calls):
    block = [(2304, 768), (768, 768), (3072, 768), (768, 3072)]
    space.encode("image", image_paths[:2])
    assert [weight for _, weight in onednn_calls] == 12 * block
    onednn_calls.clear()
    space.encode("text", TEXTS)  # two batches
    assert len(onednn_calls) == 2 * 12 * len(block)


def test_bfloat16_keeps_the_neighbors_and_is_part_of_the_fingerprint(folder, space, image_paths):
    half = load_space(
        "clip", checkpoint=folder / "clip.safetensors", device="cpu", precision="bfloat16"
    )
    assert (half.encode("image", image_paths) * space.encode("image", image_paths)).sum(
        axis=1
    ).min() > 0.999
    assert half.fingerprint != space.fingerprint


def test_wrong_activation_is_an_error(folder):
    with pytest.raises(ConfigError, match="QuickGELU mismatch.*use 'ViT-B-32-quickgelu'"):
        load_space("clip", model="ViT-B-32", tag="openai", checkpoint=folder / "clip.safetensors")


def test_unknown_names_are_errors():
    with pytest.raises(ConfigError, match="no model"):
        load_space("clip", model="ViT-Z")
    with pytest.raises(ConfigError, match="openai"):
        load_space("clip", tag="nonsense")
    with pytest.raises(ConfigError, match="precision"):
        load_space("clip", precision="float8")


def test_missing_damaged_and_foreign_weight_files_are_errors(folder, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="exmcr weights"):
        load_space("clip", checkpoint=tmp_path / "none.safetensors")
    for name in ("clip.safetensors", "clip.pt"):
        cut = tmp_path / name
        with (folder / name).open("rb") as file:
            cut.write_bytes(file.read(1_000_000))
        with pytest.raises(ConfigError, match="is the download complete"):
            load_space("clip", checkpoint=cut)
    with pytest.raises(ConfigError, match="another architecture than ViT-B-16"):
        load_space("clip", model="ViT-B-16-quickgelu", checkpoint=folder / "clip.safetensors")
    state = load_file(folder / "clip.safetensors")
    state["visual.positional_embedding"] = torch.zeros(
        65, 768
    )  # of 256 pixels; open_clip would interpolate it
    save_file(state, tmp_path / "256.safetensors")
    with pytest.raises(ConfigError, match="positional_embedding .65, 768. instead of .50, 768."):
        load_space("clip", checkpoint=tmp_path / "256.safetensors")
    torch.save(
        {
            "state_dict": {"module.pc_projection": torch.zeros(2)},
            "args": argparse.Namespace(model="ULIP"),
        },
        tmp_path / "ulip.pt",
    )
    with pytest.raises(
        ConfigError,
        match="another architecture than ViT-B-32-quickgelu: .* missing .*; 1 unknown .pc_projection",
    ):
        load_space("clip", checkpoint=tmp_path / "ulip.pt")
    (tmp_path / "page.pt").write_text("<html>not found</html>")
    with pytest.raises(ConfigError, match="page.pt is not a plain weight file: .* a web page"):
        load_space("clip", checkpoint=tmp_path / "page.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ConfigError, match="no state dict"):
        load_space("clip", checkpoint=tmp_path / "list.pt")
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(
        "open_clip.pretrained.download_pretrained",
        lambda *a, **k: (_ for _ in ()).throw(OSError("offline")),
    )
    with pytest.raises(ConfigError, match="ViT-B-32-openai.safetensors"):
        load_space("clip")


def test_the_weights_folder_is_used_and_the_fingerprint_names_weights_not_files(
    folder, space, tmp_path, monkeypatch
):
    state = torch.load(folder / "clip.pt")["state_dict"]
    save_file(
        {name.removeprefix("module."): tensor for name, tensor in reversed(state.items())},
        tmp_path / "ViT-B-32-openai.safetensors",
    )
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    assert load_space("clip", device="cpu").fingerprint == space.fingerprint


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return subprocess.call, ([sys.executable, "-c", f"open({str(self.mark)!r}, 'w')"],)


def test_a_weight_file_that_would_run_code_does_not_run(tmp_path):
    mark = tmp_path / "mark"
    torch.save({"state_dict": {"a": torch.zeros(2)}, "boom": Bomb(mark)}, tmp_path / "bomb.pt")
    with pytest.raises(ConfigError, match="not a plain weight file"):
        load_space("clip", checkpoint=tmp_path / "bomb.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ConfigError):
        load_space("clip", checkpoint=tmp_path / "old.pt")
    assert not mark.exists()
    torch.load(tmp_path / "bomb.pt", weights_only=False)  # the bomb is live
    assert mark.exists()


@pytest.mark.skipif(
    not DEMO.is_dir(), reason="the authors' demo files are not here; EXMCR_AUTHORS_DEMO says where"
)
def test_the_images_of_the_authors_demo_are_encoded(space):
    vectors = space.encode("image", [DEMO / f"{name}.jpeg" for name in ("toilet", "BBQ", "train")])
    assert vectors.shape == (3, 512) and np.isfinite(vectors).all()


def test_16_bit_animated_and_broken_images_are_handled(space, tmp_path):
    gray = tmp_path / "gray16.png"
    Image.fromarray((np.linspace(0, 65535, 90_000).reshape(300, 300)).astype(np.uint16)).save(gray)
    eight = tmp_path / "gray8.png"
    Image.fromarray((np.linspace(0, 255, 90_000).reshape(300, 300)).astype(np.uint8)).save(eight)
    film = tmp_path / "film.gif"
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(film, save_all=True, append_images=frames[1:])
    vectors = space.encode("image", [gray, eight, film, frames[0]])
    assert vectors[0] @ vectors[1] > 0.999  # 16 bits are scaled, not clipped to white
    assert vectors[2] @ vectors[3] > 0.999  # the first frame
    broken = tmp_path / "broken.png"
    broken.write_bytes(gray.read_bytes()[:500])
    with pytest.raises(BadItem):
        space.encode("image", [broken])
    with pytest.raises(ConfigError, match="no modality 'audio'"):
        space.encode("audio", ["a.wav"])
