"""C-MCR (arXiv:2305.14381) as a model: the base and one leaf meet in a third space."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from exmcr.common.errors import ConfigError
from exmcr.methods.cmcr import fit_heads
from exmcr.methods.registry import settings_of
from exmcr.model.exmcr import ExMCR
from exmcr.model.files import options_of
from exmcr.model.parts import Base, Leaf

if TYPE_CHECKING:
    from exmcr.project import Project


def fit_model(
    project: "Project",
    leaf: str | None = None,
    seeds: Iterable[int] | None = None,
    device: str | None = None,
) -> ExMCR:
    """Train C-MCR on the banks of a project, with the settings of `compare.cmcr` in params.yaml.

    leaf: name; may be left out if there is one leaf. seeds: by default all of the project.

    Returns a model as any other: `encode` and `search` work in the third space. Raises ConfigError
    for an unknown leaf, or if several leaves leave the choice open.
    """
    params = project.params
    if leaf is None and len(project.leaves) > 1:
        names = ", ".join(each.name for each in project.leaves)
        raise ConfigError(f"C-MCR connects the base with one leaf: choose one of {names} (--leaf)")
    entry = params.leaf(leaf or project.leaves[0].name)
    pools, settings = project.pools(entry), settings_of(params, "cmcr", entry.name)
    chosen = list(params.seeds if seeds is None else seeds)
    heads = {seed: fit_heads(pools, seed, **settings, progress=True) for seed in chosen}
    own, name = params.leaf_space(entry), params.base_space
    part = Leaf(
        name=entry.name,
        modality=entry.modality,
        overlap=entry.overlap,
        space=own,
        fingerprint=project.bank(own, entry.modality, "train").fingerprint,
        dim=pools.x_leaf.shape[1],
        projectors={seed: pair.leaf for seed, pair in heads.items()},
        training={"method": "cmcr", **settings},
    )
    base = Base(
        space=name,
        fingerprint=project.bank(name, entry.overlap, "train").fingerprint,
        dim=pools.o_base.shape[1],
        modalities=params.modalities_of(name),
        heads={seed: pair.base for seed, pair in heads.items()},
    )
    return ExMCR(base, [part], options_of(project, (name, own)), device)
