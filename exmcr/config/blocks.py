"""The blocks of params.yaml as typed models: unknown keys and impossible values are errors."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from exmcr.media import MODALITIES

CENTERS = ("overlap", "leaf", "base")
TERMS = ("x-o", "o-o", "x-y", "o-y")  # projected {leaf modality, overlap} - base {overlap, other}
AUTHORS_DEPTHS = {"depth_intra": "linear", "depth_inter": 2}  # of f_l and f_m in the released files

Center = Literal["overlap", "leaf", "base"]
Term = Literal["x-o", "o-o", "x-y", "o-y"]


def _depth(least: int):
    def check(value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if value != "linear" and not whole:
            raise ValueError(f"must be 'linear' or a whole number >= {least}")
        return value

    return BeforeValidator(check)


DepthIntra = Annotated[str | int, _depth(0)]
DepthInter = Annotated[str | int, _depth(1)]


def _known_modality(value: Any) -> Any:
    if value not in MODALITIES:
        raise ValueError(f"must be one of {', '.join(MODALITIES)}")
    return value


ModalityName = Annotated[str, BeforeValidator(_known_modality)]
NoneAsEmpty = BeforeValidator(lambda value: {} if value is None else value)


def _without_repeats(block, name: str):
    values = getattr(block, name)
    if values is not None and len(set(values)) != len(values):
        raise ValueError(f"{name}: repeated values in {values}")
    return block


class Block(BaseModel):
    """A block of params.yaml: typed values, no unknown keys, numbers finite."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True
    )


class Leaf(BaseModel):
    """A space that is extended into the base. Beside these fields, one space per profile."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str
    modality: ModalityName  # what the leaf adds to the base
    overlap: ModalityName  # what leaf and base share
    other: ModalityName | None = None  # base modality to meet; default: the one not shared

    @property
    def profiles(self) -> dict[str, Any]:
        """{profile: registry name of the space}."""
        return self.__pydantic_extra__ or {}

    @model_validator(mode="after")
    def _overlap_is_another_modality(self):
        if self.overlap == self.modality:
            raise ValueError(f"overlap: must differ from the modality, is '{self.overlap}'")
        return self


class PaperEntry(Block):
    """One line of `paper`: a corpus, and what it is used for."""

    corpus: str
    split: str
    as_: Literal["train", "val", "test"] = Field(alias="as")
    keep: ModalityName | None = None
    most: PositiveInt | None = None
    folder: str | None = None
    prompts: bool = False

    @model_validator(mode="after")
    def _pools_are_unpaired(self):
        if self.as_ == "train" and self.keep is None:
            raise ValueError("keep: is missing; a training pool is unpaired and keeps one modality")
        return self


class Tower(Block):
    """Training of the towers of one mini space."""

    epochs: PositiveInt
    batch: PositiveInt
    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    noise: NonNegativeFloat
    temperature: PositiveFloat
    hidden: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]
    seed: int


class FitSpaces(Block):
    base_sources: list[str]
    points_sources: list[str]
    image_text: Tower
    audio_text: Tower
    points: Tower


class Extract(Block):
    shard: PositiveInt


class Pair(Block):
    tau1: PositiveFloat
    centers: Annotated[list[Center], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self):
        return _without_repeats(self, "centers")


class TrainOverrides(Block):
    """The settings of training that a leaf may override."""

    steps: PositiveInt | None = None
    batch: PositiveInt | None = None
    lr: PositiveFloat | None = None
    weight_decay: NonNegativeFloat | None = None
    lambda_: NonNegativeFloat | None = Field(None, alias="lambda")
    tau2: PositiveFloat | None = None
    noise: NonNegativeFloat | None = None
    terms: Annotated[list[Term], Field(min_length=1)] | None = None
    overlap_through_fl: bool | None = None
    loss: str | None = None
    hidden: PositiveInt | None = None
    depth_intra: DepthIntra | None = None
    depth_inter: DepthInter | None = None

    @model_validator(mode="after")
    def _distinct(self):
        return _without_repeats(self, "terms")


class Train(Block):
    steps: PositiveInt
    batch: Annotated[int, Field(ge=2)]  # contrast needs negatives
    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    lambda_: NonNegativeFloat = Field(alias="lambda")
    tau2: PositiveFloat
    noise: NonNegativeFloat
    terms: Annotated[list[Term], Field(min_length=1)]
    overlap_through_fl: bool
    loss: str = "exmcr"
    hidden: PositiveInt = 1024
    depth_intra: DepthIntra = "linear"
    depth_inter: DepthInter = 2
    leaves: Annotated[dict[str, TrainOverrides], NoneAsEmpty] = {}

    @model_validator(mode="after")
    def _distinct(self):
        return _without_repeats(self, "terms")


class Ablate(Block):
    steps: PositiveInt | None = None
    centers: list[Annotated[list[Center], Field(min_length=1)]] = []
    terms: list[Annotated[list[Term], Field(min_length=1)]] = []
    depth_intra: list[DepthIntra] = []
    depth_inter: list[DepthInter] = []
    tau1: list[PositiveFloat] = []
    tau2: list[PositiveFloat] = []
    lambda_: list[NonNegativeFloat] = Field([], alias="lambda")
    noise: list[NonNegativeFloat] = []
    overlap_through_fl: list[bool] = []

    def factors(self) -> dict[str, list]:
        """{factor: values} of the factors that params.yaml lists, in the order of these fields."""
        return {
            name: values
            for name, values in self.model_dump(by_alias=True, exclude_unset=True).items()
            if name != "steps"
        }


class Visualize(Block):
    umap_items: PositiveInt
    questions: PositiveInt
