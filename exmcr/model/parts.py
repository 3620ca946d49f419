"""What a model consists of: the base space, and its leaves with their projectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from exmcr.banks.bank import Bank
from exmcr.common.errors import ConfigError
from exmcr.spaces import SPACES
from exmcr.spaces.base import Space
from exmcr.training.cmcr_heads import sizes
from exmcr.training.projectors import Projector


@dataclass
class Base:
    """The frozen space that all leaves are projected into.

    space        registry name
    fingerprint  of the encoder that the projectors were trained towards; "" if it was not
                 recorded, as in the authors' files
    dim          dimensions of its vectors
    modalities   what it encodes
    heads        {seed: map into a third space} of C-MCR; empty for Ex-MCR, whose base is unchanged
    """

    space: str
    fingerprint: str
    dim: int
    modalities: tuple[str, ...]
    heads: dict[int, nn.Module] = field(default_factory=dict)

    @property
    def out(self) -> int:
        """Dimensions of the space in which all modalities meet: `dim` without heads."""
        return sizes(next(iter(self.heads.values())))[1] if self.heads else self.dim

    def head(self, seed: int | None = None) -> nn.Module | None:
        """The head of a seed, by default the first; None for Ex-MCR. Raises ConfigError for another
        seed."""
        if not self.heads or seed is None:
            return next(iter(self.heads.values()), None)
        if seed not in self.heads:
            raise ConfigError(f"the base has no head of seed {seed}, only of {[*self.heads]}")
        return self.heads[seed]


@dataclass
class Leaf:
    """A frozen space, and the projectors that map one of its modalities into the base.

    overlap      modality that the leaf shares with the base
    space, fingerprint, dim   as for the base
    projectors   {seed: projector, or head of C-MCR}
    training     the parameters of their training
    """

    name: str
    modality: str
    overlap: str
    space: str
    fingerprint: str
    dim: int
    projectors: dict[int, nn.Module]
    training: dict = field(default_factory=dict)

    def projector(self, seed: int | None = None) -> nn.Module:
        """The projector of a seed, by default the first. Raises ConfigError for another seed."""
        if seed is None:
            return next(iter(self.projectors.values()))
        if seed not in self.projectors:
            known = ", ".join(map(str, self.projectors))
            raise ConfigError(
                f"leaf '{self.name}' has no projector of seed {seed}, only of {known}"
            )
        return self.projectors[seed]


def check_parts(base: Base, leaves: Sequence[Leaf]) -> None:
    """Raises ConfigError if leaves share a name or a modality, or if a projector is missing or
    does not map from its leaf's dimensions to those of the base."""
    names, modalities = {leaf.name for leaf in leaves}, {leaf.modality for leaf in leaves}
    if len(names) != len(leaves) or len(modalities) != len(leaves):
        pairs = [(leaf.name, leaf.modality) for leaf in leaves]
        raise ConfigError(f"each leaf needs a name and a modality of its own, not {pairs}")
    if base.heads and (len(leaves) != 1 or base.heads.keys() != leaves[0].projectors.keys()):
        raise ConfigError("C-MCR connects the base with one leaf, by a pair of heads for each seed")
    for leaf in leaves:
        if not leaf.projectors:
            raise ConfigError(f"leaf '{leaf.name}' has no projector")
        for seed, projector in leaf.projectors.items():
            dim, out = dims_of(projector)
            if (dim, out) != (leaf.dim, base.out):
                raise ConfigError(
                    f"the projector of leaf '{leaf.name}', seed {seed}, maps {dim} to {out} "
                    f"dimensions, '{leaf.space}' has {leaf.dim} and the base {base.out}"
                )


def dims_of(projector: nn.Module) -> tuple[int, int]:
    """(dimensions that a projector or head maps from, dimensions that it maps to)."""
    if isinstance(projector, Projector):
        return projector.dim, projector.out
    return sizes(projector)


def check_registered(part: Base | Leaf) -> None:
    """Raises ConfigError if the embeddings of this space were imported, so that no raw item can be
    encoded."""
    if part.space not in SPACES:
        raise ConfigError(
            f"unknown space '{part.space}': imported embeddings have no encoder. Pass vectors, or "
            "register the encoder (docs/bring-your-own.md)"
        )


def check_space(part: Base | Leaf, space: Space) -> None:
    """Raises ConfigError if a space is not the one that the projectors were trained on."""
    check_encoder(part, space.name, space.fingerprint, "the encoder here")
    if space.dim != part.dim:  # possible only without a recorded fingerprint
        raise ConfigError(
            f"the encoder '{space.name}' here has {space.dim} dimensions, the projectors were "
            f"trained for {part.dim}"
        )


def check_encoder(part: Base | Leaf, name: str, fingerprint: str, source: str) -> None:
    """Raises ConfigError, naming both, if vectors are not of the encoder of the base or of a leaf.

    name, fingerprint: of the encoder of these vectors; source: where they are from, for the
    message. If the part has no recorded fingerprint, only names are compared.
    """
    if (fingerprint == part.fingerprint) if part.fingerprint else (name == part.space):
        return
    if isinstance(part, Leaf):
        what = f"projector '{part.name}' was trained on vectors of"
    else:
        what = "the projectors were trained towards"
    raise ConfigError(
        f"{what} '{part.space}', fingerprint {part.fingerprint or 'not recorded'}; {source} is "
        f"'{name}', fingerprint {fingerprint}. Use the same weights and preprocessing, or train "
        "again on these"
    )


def vectors_of(part: Base | Leaf, bank: Bank) -> np.ndarray:
    """The vectors of a bank. Raises ConfigError if they are not of this part's encoder, or not of
    the modality that a leaf projects."""
    modality = bank.meta["modality"]
    if isinstance(part, Leaf) and modality != part.modality:
        raise ConfigError(
            f"leaf '{part.name}' projects {part.modality}, {bank.folder} holds {modality}"
        )
    check_encoder(part, bank.meta["space"], bank.fingerprint, f"bank {bank.folder}")
    return bank.vectors
