"""OpenShape: a narrow network and a tiny CLIP with random weights, in the published file format."""

import numpy as np
import pytest
import tiny_encoders
import torch
from PIL import Image
from safetensors.torch import save_file

from exmcr.common.errors import ConfigError
from exmcr.media.meshes import unit_sphere
from exmcr.spaces import load_space, openshape
from exmcr.spaces.clip import Clip
from exmcr.spaces.patches import cut

RNG = np.random.default_rng(0)
FILE = "openshape-pointbert-vitg14-rgb.pt"
OPTIONS = {"model": "tiny", "tag": "random", "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, patch):
    folder = tmp_path_factory.mktemp("openshape")
    patch.setenv("EXMCR_WEIGHTS", str(folder))
    tiny_encoders.clip(folder, patch, dim=512)
    tiny_encoders.openshape_network(patch)
    tiny_encoders.openshape_weights(folder)
    return folder


@pytest.fixture(scope="module")
def space(folder):
    return load_space("openshape", **OPTIONS)


def colored(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.hstack([rng.normal(size=(n, 3)), rng.uniform(size=(n, 3))]).astype(np.float32)


def test_clouds_are_encoded_with_their_colors_one_as_many(space):
    clouds = [colored(n, n) for n in (10_000, 700, 10_000, 700, 20)]
    vectors = space.encode("points", clouds)
    assert (space.name, space.dim, vectors.shape) == ("openshape", 512, (5, 512))
    for k, cloud in enumerate(clouds):
        alone = space.encode("points", [cloud])[0]
        np.testing.assert_allclose(vectors[k], alone, atol=1e-5)
    # The first has as many points as in training: by hand, y and z swapped.
    by_hand = np.hstack([unit_sphere(clouds[0][:, [0, 2, 1]]), clouds[0][:, 3:]])
    with torch.inference_mode():
        parts = cut(torch.from_numpy(by_hand)[None], patches=24, radius=0.2, size=8)
        expected = torch.nn.functional.normalize(space.network(*parts), dim=1)
    np.testing.assert_allclose(vectors[0], expected[0], atol=1e-5)


def test_a_cloud_without_colors_is_gray(space):
    cloud = colored(300)
    plain, gray = cloud[:, :3], cloud.copy()
    gray[:, 3:] = 0.4
    vectors = space.encode("points", [plain, gray, cloud])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-4


def test_position_and_size_do_not_matter_and_the_vertical_axis_is_an_option(folder, space):
    cloud = colored(300)[:, :3]
    moved, turned = 3 * cloud + 2, cloud[:, [0, 2, 1]]
    vectors = space.encode("points", [cloud, moved, turned])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-4)
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-4
    other = load_space("openshape", up="z", **OPTIONS)
    np.testing.assert_allclose(other.encode("points", [turned]), vectors[:1], atol=1e-5)
    assert other.fingerprint != space.fingerprint


def test_of_a_large_cloud_a_fixed_sample_is_used():
    cloud = colored(12_000)[:, :3]
    rows = openshape.prepared(cloud, swap=True)
    assert rows.shape == (10_000, 6) and rows.dtype == np.float32
    np.testing.assert_array_equal(rows, openshape.prepared(cloud, swap=True))
    # Points of the cloud, moved and scaled a little differently: ratios of distances stay.
    chosen = np.random.default_rng(0).permutation(12_000)[:10_000]
    given, turned = cloud[chosen][:, [0, 2, 1]], rows[:, :3]
    ratio = np.linalg.norm(turned[1:] - turned[:-1], axis=1)
    ratio /= np.linalg.norm(given[1:] - given[:-1], axis=1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    same = openshape.prepared(cloud[:10_000], swap=False)
    np.testing.assert_allclose(same[:, :3], unit_sphere(cloud[:10_000]), atol=1e-6)  # in its order
    assert np.abs(openshape.prepared(cloud[:9999], swap=False)[0] - same[0]).max() > 1e-3


@pytest.mark.parametrize("variant", ["vitl14", "vitb32"])
def test_the_variants_of_the_demo_are_loaded_and_take_clouds_as_they_stand(
    folder, space, monkeypatch, variant
):
    dim = 64 if variant == "vitb32" else 48  # without a projection, that of the transformer
    tiny_encoders.clip(folder, monkeypatch, name="other", dim=dim)
    tiny_encoders.openshape_weights(folder, dim, variant)
    other = load_space("openshape", variant=variant, **OPTIONS | {"model": "other"})
    cloud = colored(10_000)
    by_hand = np.hstack([unit_sphere(cloud[:, :3]), cloud[:, 3:]])
    with torch.inference_mode():
        parts = cut(torch.from_numpy(by_hand)[None], patches=4, radius=0.4, size=8)
        expected = torch.nn.functional.normalize(other.network(*parts), dim=1)
    assert other.dim == dim and other.fingerprint != space.fingerprint
    np.testing.assert_allclose(other.encode("points", [cloud]), expected, atol=1e-5)


def test_images_and_texts_are_those_of_its_clip(folder, space, tmp_path):
    clip = load_space("clip", **OPTIONS)
    image = Image.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    for modality, item in (("image", image), ("text", "a chair")):
        ours, theirs = space.encode(modality, [item]), clip.encode(modality, [item])
        np.testing.assert_array_equal(ours, theirs)
    assert [path.name for path in space.files] == [FILE, "tiny-random.safetensors"]
    assert isinstance(space.clip, Clip)


def test_safetensors_of_the_same_weights_have_the_same_fingerprint(folder, space, tmp_path):
    state = torch.load(folder / FILE)["state_dict"]
    save_file({k.removeprefix("module."): x for k, x in state.items()}, tmp_path / "a.safetensors")
    again = load_space("openshape", checkpoint=tmp_path / "a.safetensors", **OPTIONS)
    assert again.fingerprint == space.fingerprint
    cloud = [colored(100)]
    np.testing.assert_array_equal(again.encode("points", cloud), space.encode("points", cloud))


def test_missing_damaged_and_foreign_weights_are_errors(folder, tmp_path, monkeypatch):
    state = torch.load(folder / FILE)["state_dict"]
    cases = {"without.pt": {"module.proj.bias": state["module.proj.bias"]}}
    cases["more.pt"] = state | {"module.ppat.pe.0.weight": torch.zeros(2)}
    cases["xyz.pt"] = state | {"module.ppat.sa.mlp_convs.0.weight": torch.zeros(64, 6, 1, 1)}
    for name, content in cases.items():
        torch.save({"state_dict": content}, tmp_path / name)
    reasons = {"without.pt": "missing", "more.pt": r"1 unknown \(ppat.pe", "none.pt": "no weight"}
    reasons["xyz.pt"] = r"\(64, 6, 1, 1\) instead of \(64, 9, 1, 1\)"
    for name, reason in reasons.items():
        with pytest.raises(ConfigError, match=reason):
            load_space("openshape", checkpoint=tmp_path / name, **OPTIONS)
    tiny_encoders.clip(folder, monkeypatch, name="narrow", dim=64)
    with pytest.raises(ConfigError, match="maps clouds into 512 dimensions, narrow has 64"):
        load_space("openshape", **OPTIONS | {"model": "narrow"})
    for option in ({"up": "x"}, {"variant": "vith14"}):
        with pytest.raises(ConfigError, match="must be one of (y, z|vitg14, vitl14, vitb32)"):
            load_space("openshape", **option, **OPTIONS)
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="take model.pt from https.*openshape-pointbert-vitg14"):
        load_space("openshape", **OPTIONS)
