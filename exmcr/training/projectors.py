"""The trained part: light projectors from a leaf space into the base space.

Shapes, initialization and parameter names are those of the authors' released inference code and
weights (https://github.com/MCR-PEFT/Ex-MCR, https://github.com/MCR-PEFT/C-MCR), so either side can
load the other's files.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write

DIM, HIDDEN = 512, 1024
M = TypeVar("M", bound=nn.Module)


def linear_norm(dim: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, out), nn.BatchNorm1d(out))


def initialize(net: nn.Sequential) -> None:
    """Start a `linear_norm` with xavier-uniform weights and exclude its bias from training.

    The authors' files have this bias, but BatchNorm subtracts it again: its gradient is zero.
    """
    layer = net[0]
    assert isinstance(layer, nn.Linear)
    nn.init.xavier_uniform_(layer.weight)
    layer.bias.requires_grad_(False)


class Block(nn.Module):
    """Linear 512-1024, BatchNorm, ReLU, Linear 1024-512, BatchNorm: (n, dim) -> (n, out).

    No ReLU at the end, no residual connection.
    """

    def __init__(self, dim: int = DIM, hidden: int = HIDDEN, out: int = DIM):
        super().__init__()
        self.net1 = linear_norm(dim, hidden)
        self.net2 = linear_norm(hidden, out)
        initialize(self.net1)
        initialize(self.net2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net2(self.net1(x).relu_())


class InterSpace(nn.Module):
    """f_m: `depth` blocks in sequence (two in the authors' files): (n, dim) -> (n, out), not
    normalized."""

    def __init__(self, dim: int = DIM, out: int = DIM, hidden: int = HIDDEN, depth: int = 2):
        super().__init__()
        for n in range(1, depth + 1):
            self.add_module(f"mlp{n}", Block(dim if n == 1 else out, hidden, out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.children():
            x = block(x)
        return x


def _linear(dim: int, out: int, identity: bool) -> nn.Linear:
    layer = nn.Linear(dim, out)
    nn.init.eye_(layer.weight) if identity else nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _head(depth: int | str, dim: int, out: int, hidden: int, intra: bool) -> nn.Module:
    """f_l or f_m at a depth of the ablation: 0 (f_l only), "linear", or a number of blocks."""
    if depth == "linear":
        return _linear(dim, out, identity=intra)
    if depth == 0 and intra:
        return nn.Identity()
    if isinstance(depth, int) and not isinstance(depth, bool) and depth > 0:
        return InterSpace(dim, out, hidden, depth)
    name, zero = ("f_l", "0, ") if intra else ("f_m", "")
    raise ConfigError(f"depth of {name} is {zero}'linear' or a number of blocks, not {depth!r}")


class Projector(nn.Module):
    """normalize(f_m(f_l(normalize(x)))): the decoupled projector of one leaf, (n, dim) -> (n, out),
    unit rows.

    Head1 is f_l, a linear map that starts as the identity and closes the modality gap inside the
    leaf; Head2 is f_m, from leaf to base. Other depths serve the ablation (arXiv:2310.08884): f_l
    without parameters (depth_intra=0) or of 1, 2, ... blocks, f_m linear or of 1, 2, ... blocks.
    Raises ConfigError for any other depth.
    """

    def __init__(
        self,
        dim: int = DIM,
        out: int = DIM,
        hidden: int = HIDDEN,
        depth_intra: int | str = "linear",
        depth_inter: int | str = 2,
    ):
        super().__init__()
        self.dim, self.out, self.hidden = dim, out, hidden
        self.depth_intra, self.depth_inter = depth_intra, depth_inter
        self.Head1 = _head(depth_intra, dim, dim, hidden, intra=True)
        self.Head2 = _head(depth_inter, dim, out, hidden, intra=False)

    @property
    def architecture(self) -> str:
        """Sizes and depths, such as "512 to 512 dimensions, hidden 1024, f_l linear, f_m 2"."""
        sizes = f"{self.dim} to {self.out} dimensions, hidden {self.hidden}"
        return f"{sizes}, f_l {self.depth_intra}, f_m {self.depth_inter}"

    def intra(self, x: torch.Tensor) -> torch.Tensor:
        """f_l alone, inside the leaf; not normalized."""
        return self.Head1(normalize(x, dim=-1))

    def inter(self, x: torch.Tensor) -> torch.Tensor:
        """f_m alone, from the leaf to the base; unit rows."""
        return normalize(self.Head2(x), dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inter(self.intra(x))


def save(projector: nn.Module, path: Path) -> None:
    """Write weights atomically: `.pt` in the authors' format (a flat state dict), `.safetensors`
    otherwise."""
    from safetensors.torch import save_file

    state = {k: v.detach().cpu().contiguous() for k, v in projector.state_dict().items()}
    with atomic_write(path) as draft:
        torch.save(state, draft) if path.suffix == ".pt" else save_file(state, draft)


def load(path: Path) -> Projector:
    """Read a projector, ours or the authors' (`ex_clap.pt`, `ex_ulip.pt`), in eval mode.

    Raises ConfigError if the file is missing or damaged, or holds anything else.
    """
    return load_checked(path, from_state, "a projector of Ex-MCR")


def from_state(state: dict[str, torch.Tensor]) -> Projector:
    """A projector with the sizes and depths of these weights, in eval mode.

    Raises KeyError or RuntimeError if the weights are of another architecture.
    """
    projector = _shaped_like(state)
    projector.load_state_dict(state)
    return projector.eval()


def _shaped_like(state: dict[str, torch.Tensor]) -> Projector:
    """An untrained projector with the sizes and depths of these weights. It need not fit them: the
    strict load in `from_state` checks that."""

    def depth(head: str) -> int | str:
        blocks = {name.split(".")[1] for name in state if name.startswith(f"{head}.mlp")}
        return len(blocks) or ("linear" if f"{head}.weight" in state else 0)

    intra, inter = depth("Head1"), depth("Head2")
    first, last = "Head2.mlp1.net1.0.weight", f"Head2.mlp{inter}.net2.0.weight"
    if inter == "linear":
        first = last = "Head2.weight"
    hidden = (len(weight) for name, weight in state.items() if name.endswith("mlp1.net1.0.weight"))
    dim, out = state[first].shape[1], len(state[last])
    return Projector(dim, out, next(hidden, HIDDEN), intra, inter)


def load_checked(path: Path, build: Callable[[dict[str, torch.Tensor]], M], what: str) -> M:
    """build(state) of the tensors in a weight file. Raises ConfigError if the file is missing,
    damaged, or not `what`."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            f"no projector at {path}; run `exmcr train` or `dvc repro train`, "
            "or see `exmcr weights` for the authors' files"
        )
    state = checkpoints.load(path)
    tensors = isinstance(state, dict) and all(isinstance(x, torch.Tensor) for x in state.values())
    if not tensors:
        raise ConfigError(f"{path} is not {what}: it does not hold named tensors")
    try:
        return build(state)
    except KeyError as error:
        raise ConfigError(f"{path} is not {what}: it holds no {error}") from error
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} is not {what}: {' '.join(str(error).split())}") from error
