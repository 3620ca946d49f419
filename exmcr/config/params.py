"""All of params.yaml, and the checks that span several blocks."""

from typing import Annotated, Any

from pydantic import model_validator

from exmcr.common.errors import ConfigError
from exmcr.config.blocks import (
    Ablate,
    Block,
    Extract,
    FitSpaces,
    Leaf,
    Pair,
    PaperEntry,
    Train,
    Visualize,
)
from exmcr.config.values import (
    Count,
    Distinct,
    ModalityNames,
    Name,
    NoneAsEmpty,
    NotEmpty,
    Seed,
    shorter,
)


class Params(Block):
    """params.yaml."""

    corpora: str
    sample: Count | None = None
    spaces: str
    seeds: Annotated[list[Seed], NotEmpty, Distinct]
    base: Annotated[dict[Name, str], NotEmpty]
    leaves: Annotated[list[Leaf], NotEmpty]
    encoders: Annotated[dict[str, Annotated[dict[str, Any], NoneAsEmpty]], NoneAsEmpty] = {}
    imported: Annotated[dict[Name, ModalityNames], NoneAsEmpty] = {}
    paper: list[PaperEntry] = []
    fit_spaces: FitSpaces
    extract: Extract
    pair: Pair
    train: Train
    compare: Annotated[dict[str, Annotated[dict[str, Any], NoneAsEmpty]], NoneAsEmpty] = {}
    ablate: Annotated[Ablate, NoneAsEmpty] = Ablate()
    visualize: Visualize

    @property
    def base_space(self) -> str:
        """Registry name of the base space under the chosen profile."""
        return self.base[self.spaces]

    def leaf_space(self, leaf: Leaf) -> str:
        """Registry name of the space of a leaf under the chosen profile."""
        return leaf.profiles[self.spaces]

    def space_names(self) -> list[str]:
        """Registry names of all spaces of the run, the base first, each once."""
        return list(dict.fromkeys([self.base_space, *map(self.leaf_space, self.leaves)]))

    def modalities_of(self, space: str) -> tuple[str, ...]:
        """What a space embeds. Raises ConfigError for an unknown space."""
        if space in self.imported:
            return tuple(self.imported[space])
        from exmcr.spaces import space_class

        return tuple(space_class(space).modalities)

    def encoder_options(self, space: str) -> dict[str, Any]:
        """Constructor arguments of a space, from `encoders`."""
        return dict(self.encoders.get(space, {}))

    def leaf(self, name: str) -> Leaf:
        """The leaf of this name. Raises ConfigError if there is none."""
        for leaf in self.leaves:
            if leaf.name == name:
                return leaf
        raise ConfigError(
            f"no leaf '{name}'; leaves: {', '.join(leaf.name for leaf in self.leaves)}"
        )

    def leaf_of(self, modality: str) -> Leaf | None:
        """The leaf that adds this modality, or None if the base has it."""
        return next((leaf for leaf in self.leaves if leaf.modality == modality), None)

    def pair_settings(self) -> dict[str, Any]:
        """{"tau1", "centers", "normalize_between", "subtract_mean"}."""
        return self.pair.model_dump()

    def train_settings(self, leaf: str) -> dict[str, Any]:
        """Settings of training for one leaf: `train`, overridden by `train.leaves.<leaf>`."""
        shared = self.train.model_dump(by_alias=True, exclude={"leaves"})
        own = self.train.leaves.get(leaf)
        return shared | (own.model_dump(by_alias=True, exclude_unset=True) if own else {})

    def paper_entries(self) -> list[dict[str, Any]]:
        """The lines of `paper` as dicts, without what they leave open."""
        return [entry.model_dump(by_alias=True, exclude_none=True) for entry in self.paper]

    def method_settings(self, method: str) -> dict[str, Any]:
        """What `compare` says of a method; {} if nothing."""
        return dict(self.compare.get(method, {}))

    @model_validator(mode="after")
    def _parts_fit_together(self):
        wrong = []
        if self.spaces not in self.base:
            wrong.append(
                f"spaces: no entry '{self.spaces}' under base, only {', '.join(self.base)}"
            )
        names = [leaf.name for leaf in self.leaves]
        if len({name.lower() for name in names}) != len(names):  # they name files
            wrong.append(f"leaves: repeated names in {names}")
        for place, leaf in enumerate(self.leaves):
            for key in leaf.profiles.keys() - self.base.keys():
                known = ["name", "modality", "overlap", "other", *self.base]
                wrong.append(f"leaves.{place}.{key}: unknown key; known: {', '.join(known)}")
            if self.spaces in self.base and self.spaces not in leaf.profiles:
                wrong.append(
                    f"leaves.{place}: leaf '{leaf.name}' names no space for '{self.spaces}'"
                )
            for key, value in leaf.profiles.items():
                if not isinstance(value, str):
                    what = f"must be the name of a space, is {shorter(value)}"
                    wrong.append(f"leaves.{place}.{key}: {what}")
        for name in self.train.leaves.keys() - set(names):
            wrong.append(f"train.leaves.{name}: no leaf of this name; leaves: {', '.join(names)}")
        depths = {name: self.train_settings(name)["depth_intra"] for name in names}
        if self.pair.subtract_mean and any(depth != "linear" for depth in depths.values()):
            wrong.append("pair.subtract_mean: needs train.depth_intra: linear, also under leaves")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self
