"""What a model consists of: the base space, and its leaves with their projectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from exmcr.banks.bank import Bank
from exmcr.common.errors import ConfigError
from exmcr.training.projectors import Projector


@dataclass
class Base:
    """The frozen space that all leaves are projected into.

    space        registry name
    fingerprint  of the encoder that the projectors were trained towards; "" if it was not
                 recorded, as in the authors' files
    dim          dimensions of its vectors
    modalities   what it encodes
    """

    space: str
    fingerprint: str
    dim: int
    modalities: tuple[str, ...]


@dataclass
class Leaf:
    """A frozen space, and the projectors that map one of its modalities into the base.

    overlap      modality that the leaf shares with the base
    space, fingerprint, dim   as for the base
    projectors   {seed: projector}
    training     the parameters of their training
    """

    name: str
    modality: str
    overlap: str
    space: str
    fingerprint: str
    dim: int
    projectors: dict[int, Projector]
    training: dict = field(default_factory=dict)

    def projector(self, seed: int | None = None) -> Projector:
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
    for leaf in leaves:
        if not leaf.projectors:
            raise ConfigError(f"leaf '{leaf.name}' has no projector")
        for seed, projector in leaf.projectors.items():
            if (projector.dim, projector.out) != (leaf.dim, base.dim):
                raise ConfigError(
                    f"the projector of leaf '{leaf.name}', seed {seed}, maps {projector.dim} to "
                    f"{projector.out} dimensions, '{leaf.space}' has {leaf.dim} and the base "
                    f"{base.dim}"
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
