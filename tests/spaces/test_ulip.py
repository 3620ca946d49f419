"""ULIP-2: random weights in the published file format, loaded by load_space."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image

from exmcr.common.errors import BadItem, ConfigError
from exmcr.media.meshes import unit_sphere
from exmcr.spaces import load_space
from exmcr.spaces.pointbert import group

DEMO = Path(
    os.environ.get("EXMCR_AUTHORS_DEMO", Path(__file__).parents[3] / "shared/data/authors-demo")
)


@pytest.fixture(scope="module")
def space(ulip_weights):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXMCR_WEIGHTS", str(ulip_weights.parent))
        return load_space("ulip2", device="cpu", batch_size=2)


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 3)).astype(np.float32) for n in (1000, 700, 1000)]


def test_the_file_has_the_462_entries_of_the_published_one(ulip_weights):
    state = torch.load(ulip_weights, weights_only=False)["state_dict"]
    assert len(state) == 462
    shapes = {
        "point_encoder.encoder.first_conv.3.weight": (256, 128, 1),
        "point_encoder.encoder.second_conv.0.weight": (512, 512, 1),
        "point_encoder.encoder.second_conv.1.running_var": (512,),
        "point_encoder.reduce_dim.weight": (384, 256),
        "point_encoder.cls_pos": (1, 1, 384),
        "point_encoder.pos_embed.2.weight": (384, 128),
        "point_encoder.blocks.blocks.11.attn.qkv.weight": (1152, 384),
        "point_encoder.blocks.blocks.0.mlp.fc1.weight": (1536, 384),
        "point_encoder.norm.bias": (384,),
        "pc_projection": (768, 512),
        "visual.blocks.11.attn.qkv.weight": (2304, 768),
        "visual.cls_token": (1, 1, 768),
        "image_projection": (768, 512),
        "token_embedding.weight": (49408, 512),
        "positional_embedding": (77, 512),
        "transformer.resblocks.11.attn.in_proj_weight": (1536, 512),
        "transformer.resblocks.0.mlp.c_fc.bias": (2048,),
        "ln_final.weight": (512,),
        "text_projection": (512, 512),
        "logit_scale": (),
    }
    assert {name: tuple(state[f"module.{name}"].shape) for name in shapes} == shapes
    assert "module.point_encoder.blocks.blocks.0.attn.qkv.bias" not in state


def test_clouds_are_encoded_one_as_many(space, clouds):
    vectors = space.encode("points", clouds)
    net = space.network
    with torch.inference_mode():
        for vector, cloud in zip(vectors, clouds):
            feature = net.point_encoder(*group(torch.from_numpy(cloud)[None])) @ net.pc_projection
            np.testing.assert_allclose(vector, feature[0] / feature.norm(), atol=1e-5)
    np.testing.assert_array_equal(
        vectors[:2], space.encode("points", clouds[:2])
    )  # the same batch again


def test_images_are_encoded_as_by_timm(space, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)).save(
        path
    )
    vit = timm.create_model("vit_base_patch16_224", num_classes=0).eval()
    vit.load_state_dict(space.network.visual.state_dict())
    from torchvision.transforms.functional import center_crop, normalize, resize, to_tensor

    pixels = center_crop(resize(to_tensor(Image.open(path)), 224, antialias=True), 224)
    with torch.inference_mode():
        image = normalize(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))[None]
        feature = vit(image) @ space.network.image_projection
    # resized in floating point here, in 8 bits there
    assert space.encode("image", [path])[0] @ (feature[0] / feature.norm()).numpy() > 0.999


def test_texts_are_encoded_as_by_the_text_transformer_of_open_clip(space):
    """The same weights in open_clip's own text transformer give the same features."""
    net = open_clip.transformer.TextTransformer(
        width=512, heads=8, layers=12, act_layer=open_clip.transformer.QuickGELU, output_dim=512
    )
    own = space.network.state_dict()
    net.load_state_dict({name: own[name] for name in net.state_dict()})
    texts = ["a point cloud of a chair.", "BBQ"]
    with torch.inference_mode():
        features = torch.nn.functional.normalize(
            net.eval()(open_clip.get_tokenizer("ViT-B-32")(texts)), dim=1
        )
    np.testing.assert_allclose(space.encode("text", texts), features, atol=1e-5)
    np.testing.assert_allclose(space.encode("text", texts[:1]), features[:1], atol=1e-5)


def test_linear_layers_run_on_onednn(space, clouds, onednn_calls):
    block = [(1152, 384), (384, 384), (1536, 384), (384, 1536)]
    space.encode("points", clouds[:1])
    assert [weight for _, weight in onednn_calls] == [(384, 256), (384, 128), *12 * block]
    onednn_calls.clear()
    space.encode("text", ["BBQ"])
    assert len(onednn_calls) == 12 * 4


def test_the_normalization_is_an_option_and_part_of_the_fingerprint(ulip_weights, space, clouds):
    centered = load_space(
        "ulip2", checkpoint=ulip_weights, normalization="unit_sphere", device="cpu"
    )
    assert centered.fingerprint != space.fingerprint
    moved = [clouds[0] * 5 + 2]
    expected = space.encode("points", [unit_sphere(moved[0])])
    np.testing.assert_allclose(centered.encode("points", moved), expected, atol=1e-5)
    with pytest.raises(ConfigError, match="as_stored, unit_sphere"):
        load_space("ulip2", normalization="none")


def test_small_clouds_are_encoded_and_empty_ones_refused(space, tmp_path):
    small = np.random.default_rng(0).normal(size=(17, 3)).astype(np.float32)
    # as if every group held all 17 points once
    with torch.inference_mode():
        expected = space.network.encode_points(*group(torch.from_numpy(small)[None], size=17))
    assert space.encode("points", [small])[0] @ (
        expected[0] / expected.norm()
    ).numpy() == pytest.approx(1, abs=1e-5)
    (tmp_path / "empty.ply").write_bytes(b"")
    with pytest.raises(BadItem, match="empty"):
        space.encode("points", [tmp_path / "empty.ply"])


@pytest.mark.skipif(
    not DEMO.is_dir(), reason="the authors' demo files are not here; EXMCR_AUTHORS_DEMO says where"
)
def test_the_items_of_the_authors_demo_are_encoded(space):
    names = ("toilet", "BBQ", "train")
    for modality, suffix in (("points", "npy"), ("image", "jpeg")):
        vectors = space.encode(modality, [DEMO / f"{name}.{suffix}" for name in names])
        assert vectors.shape == (3, 512) and np.isfinite(vectors).all()


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return subprocess.call, ([sys.executable, "-c", f"open({str(self.mark)!r}, 'w')"],)


def test_missing_damaged_and_foreign_weight_files_are_errors(ulip_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    with pytest.raises(ConfigError, match="pointbert_ULIP-2.pt .from .*into"):
        load_space("ulip2")
    with pytest.raises(ConfigError, match="exmcr weights"):
        load_space("ulip2", checkpoint=tmp_path / "none.pt")
    cut = tmp_path / "cut.pt"
    with ulip_weights.open("rb") as file:
        cut.write_bytes(file.read(1_000_000))
    with pytest.raises(ConfigError, match="is the download complete"):
        load_space("ulip2", checkpoint=cut)
    mark, bomb = tmp_path / "mark", tmp_path / "bomb.pt"
    torch.save({"state_dict": {"module.a": torch.zeros(1)}, "args": Bomb(mark)}, bomb)
    with pytest.raises(ConfigError, match="not a plain weight file"):
        load_space("ulip2", checkpoint=bomb)
    assert not mark.exists()
    # the model for colored points: six numbers per point, without the image and text encoders
    torch.save(
        {
            "state_dict": {
                "module.point_encoder.encoder.first_conv.0.weight": torch.zeros(128, 6, 1)
            }
        },
        cut,
    )
    with pytest.raises(ConfigError, match=r"461 missing.*\(128, 6, 1\) instead of \(128, 3, 1\)"):
        load_space("ulip2", checkpoint=cut)
