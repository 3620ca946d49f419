"""Projectors and C-MCR heads are those of the authors' files: same numbers as a plain forward, same names, same
initialization."""

import os

import pytest
import torch

from exmcr.common.errors import ConfigError
from exmcr.training import projectors
from exmcr.training.cmcr_heads import CMCR, load_cmcr
from exmcr.training.projectors import Projector


@pytest.fixture(scope="module")
def trained():
    """A projector in which no value, BatchNorm statistics included, is the initial one."""
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
        result = trained(x.float()).double()
    assert torch.allclose(result, plain(state, x), atol=1e-5)
    assert (result < -0.05).any(), "a ReLU at the end would leave no negative values"


def test_outputs_have_unit_norm_whatever_the_length_of_the_input(trained):
    x = torch.randn(7, 24)
    with torch.no_grad():
        assert torch.allclose(trained(x).norm(dim=1), torch.ones(7), atol=1e-6)
        assert torch.allclose(trained(1000 * x), trained(x), atol=1e-5)


def test_shapes_are_those_of_the_published_files():
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
    assert {v.dtype for k, v in state.items() if not k.endswith("num_batches_tracked")} == {
        torch.float32
    }


def test_f_l_starts_as_the_identity():
    projector = Projector(12, 8, 16)
    assert torch.equal(projector.Head1.weight, torch.eye(12))
    assert not projector.Head1.bias.any()
    x = torch.randn(5, 12)
    assert torch.allclose(projector.intra(x), x / x.norm(dim=1, keepdim=True), atol=1e-6)


def test_matrices_of_f_m_start_xavier_uniform():
    matrices = [
        v
        for k, v in Projector().state_dict().items()
        if k.startswith("Head2") and k.endswith(".0.weight")
    ]
    assert len(matrices) == 4
    for matrix in matrices:
        bound = (6 / sum(matrix.shape)) ** 0.5
        assert 0.99 * bound < matrix.abs().max() <= bound
        assert abs(matrix.std() / (bound / 3**0.5) - 1) < 0.01


@pytest.mark.parametrize(
    "make",
    [lambda: Projector(12, 8, 16), lambda: CMCR(12, 8, 8, 16), lambda: CMCR(12, 8, 8, small=True)],
)
def test_untrained_biases_have_no_gradient_and_no_effect(make):
    """A bias before BatchNorm: in training it has no effect on the output, and its gradient is zero."""
    torch.manual_seed(0)
    net = make().double().train()
    frozen = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
    assert len(frozen) == (2 if isinstance(net, CMCR) and net.small else 4)
    assert all(name.endswith("0.bias") for name in frozen)
    x = [torch.randn(20, 12, dtype=torch.float64)]
    x += [torch.randn(20, 8, dtype=torch.float64)] if isinstance(net, CMCR) else []
    weight = torch.randn(20, 8, dtype=torch.float64)

    def value():
        out = net(*x)
        return sum((one * weight).sum() for one in (out if isinstance(out, tuple) else (out,)))

    net.requires_grad_(True)
    of = torch.autograd.grad(value(), [net.get_parameter(name) for name in frozen])
    assert all(float(grad.abs().max()) < 1e-12 for grad in of)
    before = value()
    with torch.no_grad():
        for name in frozen:
            net.get_parameter(name).add_(torch.randn(()))
    assert torch.allclose(value(), before, atol=1e-12)


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


def test_pt_is_a_flat_dict_of_tensors_only(trained, tmp_path):
    projectors.save(trained, tmp_path / "p.pt")
    assert set(torch.load(tmp_path / "p.pt", weights_only=True)) == set(trained.state_dict())


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_missing_file_names_the_command_to_run(tmp_path, suffix):
    with pytest.raises(ConfigError, match="run `exmcr train`"):
        projectors.load(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_saving_is_atomic(trained, tmp_path, suffix, monkeypatch):
    path = tmp_path / f"p{suffix}"
    projectors.save(trained, path)
    before = path.read_bytes()

    def fails(state, draft):
        draft.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", fails)
    monkeypatch.setattr("safetensors.torch.save_file", fails)
    with pytest.raises(KeyboardInterrupt):
        projectors.save(Projector(24, 20, 48), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


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
    for content in (
        {},
        {"weight": torch.ones(2)},
        [torch.ones(2)],
        "text",
        less,
        state | {"more": torch.ones(1)},
        state | {"Head1.weight": torch.ones(24, 23)},
        {"state_dict": state},
    ):
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
    with pytest.raises(ConfigError, match=r"p.pt is not a plain weight file: .*\.mkdir"):
        projectors.load(tmp_path / "p.pt")
    assert not (tmp_path / "harm").exists()
    torch.load(tmp_path / "p.pt", weights_only=False)  # the file is as harmful as it looks
    assert (tmp_path / "harm").exists()


# The authors' files at full size, and their networks written again from
# https://github.com/MCR-PEFT/Ex-MCR and https://github.com/MCR-PEFT/C-MCR, independent of exmcr.training.


def batch_norm(name, size):
    return {
        f"{name}.weight": torch.rand(size) + 0.5,
        f"{name}.bias": 0.1 * torch.randn(size),
        f"{name}.running_mean": 0.1 * torch.randn(size),
        f"{name}.running_var": torch.rand(size) + 0.5,
        f"{name}.num_batches_tracked": torch.tensor(7),
    }


def linear(name, dim, out):
    return {
        f"{name}.weight": torch.randn(out, dim) / dim**0.5,
        f"{name}.bias": 0.1 * torch.randn(out),
    }


def wide(name):
    return (
        linear(f"{name}.net1.0", 512, 1024)
        | batch_norm(f"{name}.net1.1", 1024)
        | linear(f"{name}.net2.0", 1024, 512)
        | batch_norm(f"{name}.net2.1", 512)
    )


def narrow(name):
    return linear(f"{name}.net.0", 512, 512) | batch_norm(f"{name}.net.1", 512)


def published(file):
    torch.manual_seed(len(file))
    if file in ("ex_clap.pt", "ex_ulip.pt"):
        return linear("Head1", 512, 512) | wide("Head2.mlp1") | wide("Head2.mlp2")
    head = wide if file == "clap_clip.pt" else narrow
    return head("Head_A") | head("Head_B")


class AuthorsMLP(torch.nn.Module):
    """Linear, BatchNorm and ReLU as net1; Linear and BatchNorm as net2."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.net1 = nn.Sequential(nn.Linear(512, 1024), nn.BatchNorm1d(1024), nn.ReLU())
        self.net2 = nn.Sequential(nn.Linear(1024, 512), nn.BatchNorm1d(512))

    def forward(self, x):
        return self.net2(self.net1(x))


class AuthorsHalf(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(512, 512), torch.nn.BatchNorm1d(512), torch.nn.ReLU()
        )

    def forward(self, x):
        return self.net(x)


class AuthorsExHead(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.Head1 = torch.nn.Linear(512, 512)
        self.Head2 = torch.nn.ModuleDict({"mlp1": AuthorsMLP(), "mlp2": AuthorsMLP()})

    def forward(self, x):
        x = torch.nn.functional.normalize(x, dim=-1)  # by their feature extractor
        return torch.nn.functional.normalize(
            self.Head2["mlp2"](self.Head2["mlp1"](self.Head1(x))), dim=-1
        )


class AuthorsPair(torch.nn.Module):
    def __init__(self, head):
        super().__init__()
        self.Head_A, self.Head_B = head(), head()


def authors(network, state, x, head=None):
    network.load_state_dict(state)
    network.eval()
    with torch.no_grad():
        if head is None:
            return network(x)
        return torch.nn.functional.normalize(
            getattr(network, head)(torch.nn.functional.normalize(x, dim=-1)), dim=-1
        )


@pytest.mark.parametrize("file", ["ex_clap.pt", "ex_ulip.pt"])
def test_the_authors_projector_files_give_the_outputs_of_their_networks(tmp_path, file):
    state, x = published(file), torch.randn(64, 512)
    torch.save(state, tmp_path / file)
    with torch.no_grad():
        assert torch.allclose(
            projectors.load(tmp_path / file)(x), authors(AuthorsExHead(), state, x), atol=1e-5
        )


@pytest.mark.parametrize(
    ("file", "head", "leaf", "base"),
    [
        ("clap_clip.pt", AuthorsMLP, "Head_A", "Head_B"),
        ("ulip_clip.pt", AuthorsHalf, "Head_B", "Head_A"),
    ],
)
def test_the_authors_cmcr_files_give_the_outputs_of_their_heads_in_their_roles(
    tmp_path, file, head, leaf, base
):
    """clap_clip.pt: A is CLAP, B is CLIP. ulip_clip.pt: A is CLIP, B is ULIP."""
    state, x, y = published(file), torch.randn(64, 512), torch.randn(9, 512)
    torch.save(state, tmp_path / file)
    heads = load_cmcr(tmp_path / file)
    assert not heads.training
    with torch.no_grad():
        from_leaf, from_base = heads(x, y)
    assert torch.allclose(from_leaf, authors(AuthorsPair(head), state, x, leaf), atol=1e-5)
    assert torch.allclose(from_base, authors(AuthorsPair(head), state, y, base), atol=1e-5)
    assert not torch.allclose(from_leaf, authors(AuthorsPair(head), state, x, base), atol=1e-2), (
        "the roles differ"
    )


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_our_cmcr_heads_are_written_in_the_authors_format(tmp_path, small, suffix):
    """At full size the authors' network loads the file. Other sizes, different in both spaces, are restored too."""
    torch.manual_seed(3)
    heads, path = CMCR(small=small), tmp_path / f"heads{suffix}"
    heads(torch.randn(32, 512), torch.randn(32, 512))  # moves the statistics of BatchNorm
    projectors.save(heads.eval(), path)
    again = load_cmcr(path)
    x = torch.randn(5, 512)
    with torch.no_grad():
        assert torch.equal(again(x, x)[0], heads(x, x)[0]) and torch.equal(
            again(x, x)[1], heads(x, x)[1]
        )
        if suffix == ".pt":
            state = torch.load(path, weights_only=True)
            theirs = authors(
                AuthorsPair(AuthorsHalf if small else AuthorsMLP),
                state,
                x,
                "Head_B" if small else "Head_A",
            )
            assert torch.allclose(theirs, heads.leaf(x), atol=1e-5)
    projectors.save(CMCR(24, 20, 16, 32, small), path)
    leaf, base = load_cmcr(path)(torch.randn(2, 24), torch.randn(3, 20))
    assert leaf.shape == (2, 16) and base.shape == (3, 16)


def test_cmcr_and_exmcr_files_are_not_confused(tmp_path):
    wrong = published("clap_clip.pt")
    for name, state in {
        "ex.pt": published("ex_clap.pt"),
        "half.pt": {k: v for k, v in wrong.items() if "Head_A" in k},
        "more.pt": wrong | {"more": torch.ones(1)},
        "mixed.pt": narrow("Head_A") | wide("Head_B"),
        "shape.pt": wrong | {"Head_B.net2.0.bias": torch.ones(511)},
    }.items():
        torch.save(state, tmp_path / name)
        with pytest.raises(ConfigError, match=f"{name} is not a pair of heads"):
            load_cmcr(tmp_path / name)
    torch.save(wrong, tmp_path / "cmcr.pt")
    with pytest.raises(ConfigError, match="not a projector of Ex-MCR"):
        projectors.load(tmp_path / "cmcr.pt")
    torch.save({"Head_A.net.0.weight": Harm(tmp_path / "harm")}, tmp_path / "harm.pt")
    with pytest.raises(ConfigError):
        load_cmcr(tmp_path / "harm.pt")
    assert not (tmp_path / "harm").exists()


DEPTHS = [
    (0, 2),
    (1, 2),
    (2, 2),
    ("linear", "linear"),
    ("linear", 1),
    ("linear", 5),
    (0, "linear"),
    (2, 3),
]


@pytest.mark.parametrize("intra, inter", DEPTHS)
def test_every_depth_is_restored_from_its_file(tmp_path, intra, inter):
    torch.manual_seed(3)
    projector = Projector(12, 10, 16, depth_intra=intra, depth_inter=inter)
    projector(torch.randn(32, 12))  # BatchNorm statistics
    projector.eval()
    projectors.save(projector, tmp_path / "p.safetensors")
    again = projectors.load(tmp_path / "p.safetensors")
    x = torch.randn(4, 12)
    with torch.no_grad():
        assert torch.equal(again(x), projector(x)) and projector(x).shape == (4, 10)
    assert list(again.state_dict()) == list(projector.state_dict())


def test_depths_count_blocks_and_the_default_is_the_published_one():
    default = Projector(12, 10, 16)
    assert list(Projector(12, 10, 16, depth_intra="linear", depth_inter=2).state_dict()) == list(
        default.state_dict()
    )
    matrices = {
        depth: sum(
            k.endswith("0.weight")
            for k in Projector(12, 10, 16, depth_inter=depth).state_dict()
            if "Head2" in k
        )
        for depth in (1, 3, 5)
    }
    assert matrices == {1: 2, 3: 6, 5: 10}
    x = torch.randn(3, 12)
    assert torch.allclose(
        Projector(12, 10, 16, depth_intra=0).intra(x), x / x.norm(dim=1, keepdim=True), atol=1e-6
    )


def test_an_unknown_depth_is_refused():
    for wrong in (
        {"depth_intra": -1},
        {"depth_intra": "mlp"},
        {"depth_inter": 0},
        {"depth_inter": True},
        {"depth_inter": 1.5},
    ):
        with pytest.raises(ConfigError, match="depth of f_"):
            Projector(12, 10, 16, **wrong)


def test_a_file_that_lacks_a_block_in_the_middle_is_refused(tmp_path):
    state = Projector(12, 10, 16, depth_inter=3).state_dict()
    torch.save({k: v for k, v in state.items() if "mlp2" not in k}, tmp_path / "p.pt")
    with pytest.raises(ConfigError, match="not a projector"):
        projectors.load(tmp_path / "p.pt")
