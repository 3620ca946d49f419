"""The projector is the one of the authors' files: same numbers as a plain forward, same names, same start."""

import os

import pytest
import torch

from exmcr import projectors
from exmcr.errors import ConfigError
from exmcr.projectors import Projector


@pytest.fixture(scope="module")
def trained():
    """A projector in which nothing, BatchNorm statistics included, is at its initial value."""
    torch.manual_seed(1)
    projector = Projector(24, 20, 48)
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    projector.train()
    for _ in range(3):
        projector(torch.randn(16, 24))
    return projector.eval()


def plain(state, x):
    """The published architecture, written out."""

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name):
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return (x - mean) / (var + 1e-5).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]

    x = x / x.norm(dim=1, keepdim=True)
    x = linear(x, "Head1")
    for mlp in ("Head2.mlp1", "Head2.mlp2"):
        x = norm(linear(x, f"{mlp}.net1.0"), f"{mlp}.net1.1").clamp(min=0)
        x = norm(linear(x, f"{mlp}.net2.0"), f"{mlp}.net2.1")
    return x / x.norm(dim=1, keepdim=True)


def test_forward_equals_a_plain_one(trained):
    x = torch.randn(9, 24, dtype=torch.float64) * 5
    state = {k: v.double() for k, v in trained.state_dict().items()}
    with torch.no_grad():
        got = trained(x.float()).double()
    assert torch.allclose(got, plain(state, x), atol=1e-5)
    assert (got < -0.05).any(), "a ReLU at the end would leave nothing negative"


def test_outputs_have_unit_norm_whatever_the_length_of_the_input(trained):
    x = torch.randn(7, 24)
    with torch.no_grad():
        assert torch.allclose(trained(x).norm(dim=1), torch.ones(7), atol=1e-6)
        assert torch.allclose(trained(1000 * x), trained(x), atol=1e-5)


def test_shapes_of_the_published_files():
    shapes = {k: tuple(v.shape) for k, v in Projector().state_dict().items()}
    assert shapes["Head1.weight"] == (512, 512)
    for mlp in ("mlp1", "mlp2"):
        assert shapes[f"Head2.{mlp}.net1.0.weight"] == (1024, 512)
        assert shapes[f"Head2.{mlp}.net2.0.weight"] == (512, 1024)
        assert shapes[f"Head2.{mlp}.net1.1.running_var"] == (1024,)
        assert shapes[f"Head2.{mlp}.net2.1.running_mean"] == (512,)


def test_names_and_types_are_those_of_the_published_files():
    batch_norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"Head1.weight", "Head1.bias"}
    for mlp in ("mlp1", "mlp2"):
        for net in ("net1", "net2"):
            expected |= {f"Head2.{mlp}.{net}.0.{p}" for p in ("weight", "bias")}
            expected |= {f"Head2.{mlp}.{net}.1.{p}" for p in batch_norm}
    state = Projector(8, 6, 10).state_dict()
    assert set(state) == expected
    assert {v.dtype for k, v in state.items() if not k.endswith("num_batches_tracked")} == {torch.float32}


def test_f_l_starts_as_the_identity():
    projector = Projector(12, 8, 16)
    assert torch.equal(projector.Head1.weight, torch.eye(12))
    assert not projector.Head1.bias.any()
    x = torch.randn(5, 12)
    assert torch.allclose(projector.intra(x), x / x.norm(dim=1, keepdim=True), atol=1e-6)


def test_matrices_of_f_m_start_xavier_uniform():
    matrices = [v for k, v in Projector().state_dict().items() if k.startswith("Head2") and k.endswith(".0.weight")]
    assert len(matrices) == 4
    for matrix in matrices:
        bound = (6 / sum(matrix.shape)) ** 0.5
        assert 0.99 * bound < matrix.abs().max() <= bound
        assert abs(matrix.std() / (bound / 3**0.5) - 1) < 0.01


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_saved_and_loaded_weights_are_the_same_bits(trained, tmp_path, suffix):
    path = tmp_path / "new folder" / f"p{suffix}"
    projectors.save(trained, path)
    again = projectors.load(path)
    assert not again.training
    mine, its = trained.state_dict(), again.state_dict()
    assert list(mine) == list(its)
    for name in mine:
        assert mine[name].dtype == its[name].dtype and torch.equal(mine[name], its[name])
    x = torch.randn(3, 24)
    with torch.no_grad():
        assert torch.equal(again(x), trained(x))


def test_pt_is_a_flat_dict_that_needs_no_trust(trained, tmp_path):
    projectors.save(trained, tmp_path / "p.pt")
    assert set(torch.load(tmp_path / "p.pt", weights_only=True)) == set(trained.state_dict())


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_missing_file_names_the_stage_to_run(tmp_path, suffix):
    with pytest.raises(ConfigError, match="train stage"):
        projectors.load(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 5, 0.5, 0.999])
def test_a_truncated_file_is_refused(trained, tmp_path, suffix, keep):
    path = tmp_path / f"p{suffix}"
    projectors.save(trained, path)
    blob = path.read_bytes()
    path.write_bytes(blob[: keep if isinstance(keep, int) else int(keep * len(blob))])
    with pytest.raises(ConfigError, match=path.name):
        projectors.load(path)


def test_foreign_content_is_refused(trained, tmp_path):
    state = trained.state_dict()
    less = {k: v for k, v in state.items() if k != "Head1.bias"}
    for content in ({}, {"weight": torch.ones(2)}, [torch.ones(2)], "text", less, state | {"more": torch.ones(1)},
                    state | {"Head1.weight": torch.ones(24, 23)}, {"state_dict": state}):  # fmt: skip
        torch.save(content, tmp_path / "p.pt")
        with pytest.raises(ConfigError, match="not a projector"):
            projectors.load(tmp_path / "p.pt")


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(trained, tmp_path):
    torch.save(trained.state_dict() | {"more": Harm(tmp_path / "harm")}, tmp_path / "p.pt")
    with pytest.raises(ConfigError):
        projectors.load(tmp_path / "p.pt")
    assert not (tmp_path / "harm").exists()
    torch.load(tmp_path / "p.pt", weights_only=False)  # the file is as harmful as it looks
    assert (tmp_path / "harm").exists()


DEPTHS = [(0, 2), (1, 2), (2, 2), ("linear", "linear"), ("linear", 1), ("linear", 5), (0, "linear"), (2, 3)]


@pytest.mark.parametrize("intra, inter", DEPTHS)
def test_every_depth_comes_back_from_its_file(tmp_path, intra, inter):
    torch.manual_seed(3)
    made = Projector(12, 10, 16, depth_intra=intra, depth_inter=inter)
    made(torch.randn(32, 12))  # BatchNorm statistics
    made.eval()
    projectors.save(made, tmp_path / "p.safetensors")
    again = projectors.load(tmp_path / "p.safetensors")
    x = torch.randn(4, 12)
    with torch.no_grad():
        assert torch.equal(again(x), made(x)) and made(x).shape == (4, 10)
    assert list(again.state_dict()) == list(made.state_dict())


def test_depths_count_blocks_and_the_default_is_the_published_one():
    default = Projector(12, 10, 16)
    assert list(Projector(12, 10, 16, depth_intra="linear", depth_inter=2).state_dict()) == list(default.state_dict())
    matrices = {depth: sum(k.endswith("0.weight") for k in Projector(12, 10, 16, depth_inter=depth).state_dict() if "Head2" in k) for depth in (1, 3, 5)}
    assert matrices == {1: 2, 3: 6, 5: 10}
    x = torch.randn(3, 12)
    assert torch.allclose(Projector(12, 10, 16, depth_intra=0).intra(x), x / x.norm(dim=1, keepdim=True), atol=1e-6)


def test_an_unknown_depth_is_refused():
    for wrong in ({"depth_intra": -1}, {"depth_intra": "mlp"}, {"depth_inter": 0}, {"depth_inter": True}, {"depth_inter": 1.5}):
        with pytest.raises(ConfigError, match="depth of f_"):
            Projector(12, 10, 16, **wrong)


def test_a_file_that_lacks_a_block_in_the_middle_is_refused(tmp_path):
    state = Projector(12, 10, 16, depth_inter=3).state_dict()
    torch.save({k: v for k, v in state.items() if "mlp2" not in k}, tmp_path / "p.pt")
    with pytest.raises(ConfigError, match="not a projector"):
        projectors.load(tmp_path / "p.pt")
