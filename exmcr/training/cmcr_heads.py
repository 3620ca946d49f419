"""The two heads of C-MCR (arXiv:2305.14381), with the parameter names of the authors' files."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.training.projectors import DIM, HIDDEN, Block, initialize, linear_norm, load_checked


class CMCRHead(Block):
    """C-MCR's head for audio and images: Linear 512-1024, BatchNorm, ReLU, Linear 1024-512,
    BatchNorm. (n, dim) -> (n, out), unit rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normalize(super().forward(normalize(x, dim=-1)), dim=-1)


class CMCRSmallHead(nn.Module):
    """C-MCR's head for 3D and images: Linear 512-512, BatchNorm, ReLU. (n, dim) -> (n, out), unit
    rows without negative values."""

    def __init__(self, dim: int = DIM, out: int = DIM):
        super().__init__()
        self.net = linear_norm(dim, out)
        initialize(self.net)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normalize(self.net(normalize(x, dim=-1)).relu(), dim=-1)


class CMCR(nn.Module):
    """C-MCR (arXiv:2305.14381): one head for each of two spaces, into a common third space.

    In the authors' `clap_clip.pt` Head_A is that of the leaf (CLAP) and Head_B that of the base
    (CLIP); in `ulip_clip.pt`, which has the small heads, the roles are reversed. Our files follow
    the same rule. `leaf` and `base` are the heads by role.
    """

    def __init__(
        self,
        leaf_dim: int = DIM,
        base_dim: int = DIM,
        out: int = DIM,
        hidden: int = HIDDEN,
        small: bool = False,
    ):
        super().__init__()
        self.small = small
        if small:
            self.Head_A: nn.Module = CMCRSmallHead(base_dim, out)
            self.Head_B: nn.Module = CMCRSmallHead(leaf_dim, out)
        else:
            self.Head_A = CMCRHead(leaf_dim, hidden, out)
            self.Head_B = CMCRHead(base_dim, hidden, out)

    @property
    def leaf(self) -> nn.Module:
        """(n, leaf_dim) -> (n, out), unit rows."""
        return self.Head_B if self.small else self.Head_A

    @property
    def base(self) -> nn.Module:
        """(n, base_dim) -> (n, out), unit rows."""
        return self.Head_A if self.small else self.Head_B

    def forward(self, leaf: torch.Tensor, base: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of the leaf (n, leaf_dim) and of the base (m, base_dim) -> both in the common
        space, unit rows."""
        return self.leaf(leaf), self.base(base)


def head_from_state(state: dict[str, torch.Tensor]) -> nn.Module:
    """One head of the kind and sizes of these weights, in eval mode.

    Raises KeyError or RuntimeError if the weights are of another architecture.
    """
    if "net.0.weight" in state:
        out, dim = state["net.0.weight"].shape
        head: nn.Module = CMCRSmallHead(dim, out)
    else:
        hidden, dim = state["net1.0.weight"].shape
        head = CMCRHead(dim, hidden, state["net2.0.weight"].shape[0])
    head.load_state_dict(state)
    return head.eval()


def sizes(head: nn.Module) -> tuple[int, int]:
    """(dimensions that a head maps from, dimensions that it maps to)."""
    layers = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    return layers[0].in_features, layers[-1].out_features


def load_cmcr(path: Path) -> CMCR:
    """Read the two heads of C-MCR, ours or the authors' (`clap_clip.pt`, `ulip_clip.pt`), in eval
    mode.

    A file does not say which head is the leaf's; see CMCR. Raises ConfigError if the file is
    missing or damaged, or holds anything else.
    """
    return load_checked(path, cmcr_from_state, "a pair of heads of C-MCR")


def cmcr_from_state(state: dict[str, torch.Tensor]) -> CMCR:
    """Heads of the kind and sizes of these weights, in eval mode.

    Raises KeyError or RuntimeError if the weights are of another architecture.
    """
    small = "Head_A.net.0.weight" in state
    first, last = ("net.0", "net.0") if small else ("net1.0", "net2.0")
    (hidden, dim_a), (_, dim_b) = (state[f"Head_{head}.{first}.weight"].shape for head in "AB")
    out = state[f"Head_A.{last}.weight"].shape[0]
    leaf, base = (dim_b, dim_a) if small else (dim_a, dim_b)
    heads = CMCR(leaf, base, out, hidden, small)
    heads.load_state_dict(state)
    return heads.eval()
