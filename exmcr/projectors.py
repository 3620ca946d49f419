"""The trained part: light projectors from a leaf space into the base space.

Shapes, initialisation and parameter names are those of the authors' released inference code and weights
(https://github.com/MCR-PEFT/Ex-MCR, https://github.com/MCR-PEFT/C-MCR), so that either side can load the other's files."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.errors import ConfigError

DIM, HIDDEN = 512, 1024


class Block(nn.Module):
    """Linear 512-1024, BatchNorm, ReLU, Linear 1024-512, BatchNorm. No ReLU at the end, no residual."""

    def __init__(self, dim: int = DIM, hidden: int = HIDDEN, out: int = DIM):
        super().__init__()
        self.net1 = nn.Sequential(nn.Linear(dim, hidden), nn.BatchNorm1d(hidden))
        self.net2 = nn.Sequential(nn.Linear(hidden, out), nn.BatchNorm1d(out))
        for layer in (self.net1[0], self.net2[0]):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x):
        return self.net2(self.net1(x).relu())


class InterSpace(nn.Module):
    """f_m: two blocks, between the leaf's sphere and the base's."""

    def __init__(self, dim: int = DIM, out: int = DIM, hidden: int = HIDDEN):
        super().__init__()
        self.mlp1 = Block(dim, hidden, out)
        self.mlp2 = Block(out, hidden, out)

    def forward(self, x):
        return self.mlp2(self.mlp1(x))


class Projector(nn.Module):
    """normalize(f_m(f_l(normalize(x)))): the decoupled projector of one leaf. (n, dim) -> (n, out), unit norm.

    Head1 is f_l, a linear map that starts as the identity and closes the modality gap inside the leaf;
    Head2 is f_m, which crosses from leaf to base."""

    def __init__(self, dim: int = DIM, out: int = DIM, hidden: int = HIDDEN):
        super().__init__()
        self.Head1 = nn.Linear(dim, dim)
        nn.init.eye_(self.Head1.weight)
        nn.init.zeros_(self.Head1.bias)
        self.Head2 = InterSpace(dim, out, hidden)

    def intra(self, x: torch.Tensor) -> torch.Tensor:
        """f_l alone, inside the leaf (not normalised)."""
        return self.Head1(normalize(x, dim=-1))

    def inter(self, x: torch.Tensor) -> torch.Tensor:
        """f_m alone, from the leaf to the base's sphere."""
        return normalize(self.Head2(x), dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inter(self.intra(x))


class CMCRHead(Block):
    """C-MCR's head for audio and pictures: Linear 512-1024, BatchNorm, ReLU, Linear 1024-512, BatchNorm. (n, dim) -> (n, out), unit norm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normalize(super().forward(normalize(x, dim=-1)), dim=-1)


class CMCRSmallHead(nn.Module):
    """C-MCR's head for 3D and pictures: Linear 512-512, BatchNorm, ReLU. (n, dim) -> (n, out), unit norm, nothing negative."""

    def __init__(self, dim: int = DIM, out: int = DIM):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, out), nn.BatchNorm1d(out))
        nn.init.xavier_uniform_(self.net[0].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normalize(self.net(normalize(x, dim=-1)).relu(), dim=-1)


class CMCR(nn.Module):
    """C-MCR (arXiv:2305.14381): a head for each of two spaces, which meet in a third one.

    In the authors' `clap_clip.pt` Head_A is the leaf's (CLAP) and Head_B the base's (CLIP); in `ulip_clip.pt`, which has
    the small heads, it is the other way round. `leaf` and `base` are the heads by role; files of ours keep to the same rule."""

    def __init__(self, leaf_dim: int = DIM, base_dim: int = DIM, out: int = DIM, hidden: int = HIDDEN, small: bool = False):
        super().__init__()
        self.small = small
        if small:
            self.Head_A, self.Head_B = CMCRSmallHead(base_dim, out), CMCRSmallHead(leaf_dim, out)
        else:
            self.Head_A, self.Head_B = CMCRHead(leaf_dim, hidden, out), CMCRHead(base_dim, hidden, out)

    @property
    def leaf(self) -> nn.Module:
        return self.Head_B if self.small else self.Head_A

    @property
    def base(self) -> nn.Module:
        return self.Head_A if self.small else self.Head_B

    def forward(self, leaf: torch.Tensor, base: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of the leaf (n, leaf_dim) and of the base (m, base_dim) -> both in the common space, unit rows."""
        return self.leaf(leaf), self.base(base)


def save(projector: nn.Module, path: Path) -> None:
    """Write weights: `.pt` in the authors' own format (a flat state dict), `.safetensors` otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().contiguous() for k, v in projector.state_dict().items()}
    if path.suffix == ".pt":
        torch.save(state, path)
    else:
        from safetensors.torch import save_file

        save_file(state, path)


def load(path: Path) -> Projector:
    """Read a leaf's projector, ours or the authors' (`ex_clap.pt`, `ex_ulip.pt`), strictly; in eval mode.

    Raises ConfigError when the file is missing, damaged, or holds anything else."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no projector at {path}; run the train stage (notebooks/03_train.ipynb)")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        hidden, dim = state["Head2.mlp1.net1.0.weight"].shape
        out = state["Head2.mlp2.net2.0.weight"].shape[0]
        projector = Projector(dim, out, hidden)
        projector.load_state_dict(state)
    except Exception as error:  # torch, pickle and safetensors each raise their own kinds for a damaged file
        raise ConfigError(f"{path} is not a projector of Ex-MCR: {error}") from error
    return projector.eval()
