"""The blocks of params.yaml as typed models: unknown keys and impossible values are errors."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from exmcr.config.values import (
    BatchSize,
    Centers,
    Count,
    DepthInter,
    DepthIntra,
    Distinct,
    Factor,
    ModalityName,
    Name,
    NoneAsEmpty,
    NotEmpty,
    Rate,
    Seed,
    Temperature,
    Terms,
    Variance,
    Weight,
    Width,
)

AUTHORS_DEPTHS = {"depth_intra": "linear", "depth_inter": 2}  # of f_l and f_m in the released files


class Block(BaseModel):
    """A block of params.yaml: typed values, no unknown keys, numbers finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Leaf(BaseModel):
    """A space that is extended into the base. Beside these fields, one space per profile."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Name
    modality: ModalityName  # what the leaf adds to the base
    overlap: ModalityName  # what leaf and base share
    other: ModalityName | None = None  # base modality to meet; default: the one not shared

    @property
    def profiles(self) -> dict[str, Any]:
        """{profile: registry name of the space}."""
        return self.__pydantic_extra__ or {}

    @model_validator(mode="after")
    def _roles_differ(self):
        if self.overlap == self.modality:
            raise ValueError(f"overlap: must differ from the modality, is '{self.overlap}'")
        for role in ("modality", "overlap"):
            if self.other == getattr(self, role):
                raise ValueError(f"other: must differ from the {role}, is '{self.other}'")
        return self


class PaperEntry(Block):
    """One line of `paper`: a corpus, and what it is used for."""

    corpus: str
    split: Annotated[str, NotEmpty]
    as_: Literal["train", "val", "test"] = Field(alias="as")
    keep: ModalityName | None = None
    most: Count | None = None
    folder: Annotated[str, NotEmpty] | None = None
    prompts: bool = False

    @model_validator(mode="after")
    def _pools_are_unpaired(self):
        if self.as_ == "train" and self.keep is None:
            raise ValueError("keep: is missing; a training pool is unpaired and keeps one modality")
        return self


class Tower(Block):
    """How one mini space is fitted; see exmcr/spaces/mini/towers.py."""

    names: Count
    power: Rate
    prior: Rate
    width: Rate
    ridge: Rate
    whiten: Annotated[float, Field(ge=0, le=0.5)]
    nouns: Factor
    looks: Factor
    steps: Annotated[int, Field(ge=0, le=10**5)]
    tau: Temperature
    seed: Seed


class SpeechTower(Block):
    """How the speech space is fitted, which has no names of classes; see `Tower`."""

    width: Rate
    ridge: Rate
    whiten: Annotated[float, Field(ge=0, le=0.5)]
    seed: Seed


class FitSpaces(Block):
    base_sources: Annotated[list[Annotated[str, NotEmpty]], NotEmpty, Distinct]
    points_sources: Annotated[list[Annotated[str, NotEmpty]], NotEmpty, Distinct]
    image_text: Tower
    audio_text: Tower
    points: Tower
    speech_text: SpeechTower | None = None  # opt-in


class Extract(Block):
    shard: Annotated[int, Field(gt=0, le=10**6)]


class Pair(Block):
    tau1: Temperature
    centers: Centers
    normalize_between: bool = True
    subtract_mean: bool = False


class TrainOverrides(Block):
    """The settings of training that a leaf may override."""

    steps: Count | None = None
    batch: BatchSize | None = None
    lr: Rate | None = None
    weight_decay: Weight | None = None
    lambda_: Weight | None = Field(None, alias="lambda")
    tau2: Temperature | None = None
    noise: Variance | None = None
    terms: Terms | None = None
    overlap_through_fl: bool | None = None
    loss: str | None = None
    hidden: Width | None = None
    depth_intra: DepthIntra | None = None
    depth_inter: DepthInter | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _no_null(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("needs a value; delete the line to keep that of `train`")
        return value


class Train(Block):
    steps: Count
    batch: BatchSize
    lr: Rate
    weight_decay: Weight
    lambda_: Weight = Field(alias="lambda")
    tau2: Temperature
    noise: Variance
    terms: Terms
    overlap_through_fl: bool
    loss: str = "exmcr"
    hidden: Width = 1024
    depth_intra: DepthIntra = "linear"
    depth_inter: DepthInter = 2
    leaves: Annotated[dict[str, Annotated[TrainOverrides, NoneAsEmpty]], NoneAsEmpty] = {}


class Ablate(Block):
    steps: Count | None = None
    centers: Annotated[list[Centers], NotEmpty, Distinct] = []
    terms: Annotated[list[Terms], NotEmpty, Distinct] = []
    depth_intra: Annotated[list[DepthIntra], NotEmpty, Distinct] = []
    depth_inter: Annotated[list[DepthInter], NotEmpty, Distinct] = []
    tau1: Annotated[list[Temperature], NotEmpty, Distinct] = []
    tau2: Annotated[list[Temperature], NotEmpty, Distinct] = []
    lambda_: Annotated[list[Weight], NotEmpty, Distinct] = Field([], alias="lambda")
    noise: Annotated[list[Variance], NotEmpty, Distinct] = []
    overlap_through_fl: Annotated[list[bool], NotEmpty, Distinct] = []

    def factors(self) -> dict[str, list]:
        """{factor: values} of the factors that params.yaml lists, in the order of these fields."""
        return {
            name: values
            for name, values in self.model_dump(by_alias=True, exclude_unset=True).items()
            if name != "steps"
        }


class Visualize(Block):
    umap_items: Annotated[int, Field(ge=3, le=10**6)]
    questions: Annotated[int, Field(gt=0, le=100)]
