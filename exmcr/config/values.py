"""Types of single values in params.yaml, each with its range.

Upper bounds are far above any sensible value. They refuse what would overflow or fill the memory.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from exmcr.common.names import SAFE
from exmcr.media import MODALITIES

CENTERS = ("overlap", "leaf", "base")
TERMS = ("x-o", "o-o", "x-y", "o-y")  # projected {leaf modality, overlap} - base {overlap, other}

Center = Literal["overlap", "leaf", "base"]
Term = Literal["x-o", "o-o", "x-y", "o-y"]

SMALLEST = 1e-4  # temperature; with a smaller one, logits leave the range of float32 sums
DEEPEST = 32  # blocks of a projector


def _safe_name(value: str) -> str:
    if not SAFE.fullmatch(value) or value.endswith("."):
        raise ValueError(
            "must be a name of letters, digits and . _ + -, at most 100, a letter or digit first"
        )
    return value


def _known_modality(value: Any) -> Any:
    if not isinstance(value, str) or value not in MODALITIES:
        raise ValueError(f"must be one of {', '.join(MODALITIES)}")
    return value


def _without_repeats(values: list) -> list:
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError("repeated values")
    return values


def _not_tiny(value: float) -> float:
    if value < SMALLEST:
        raise ValueError(f"must be at least {SMALLEST}")
    return value


def _depth(least: int):
    def check(value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if value != "linear" and not whole:
            raise ValueError(f"must be 'linear' or a whole number >= {least}")
        if whole and value > DEEPEST:
            raise ValueError(f"must be at most {DEEPEST}")
        return value

    return BeforeValidator(check)


NoneAsEmpty = BeforeValidator(lambda value: {} if value is None else value)
Distinct = AfterValidator(_without_repeats)
NotEmpty = Field(min_length=1)

Name = Annotated[str, AfterValidator(_safe_name)]  # part of a file name
ModalityName = Annotated[str, BeforeValidator(_known_modality)]
ModalityNames = Annotated[list[ModalityName], Field(min_length=2), Distinct]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Count = Annotated[int, Field(gt=0, le=10**9)]
Width = Annotated[int, Field(gt=0, le=65_536)]
BatchSize = Annotated[int, Field(ge=2, le=10**6)]  # contrast needs negatives
DepthIntra = Annotated[str | int, _depth(0)]
DepthInter = Annotated[str | int, _depth(1)]
Temperature = Annotated[float, Field(gt=0, le=100), AfterValidator(_not_tiny)]
Rate = Annotated[float, Field(gt=0, le=10)]
Weight = Annotated[float, Field(ge=0, le=10**6)]
Factor = Annotated[float, Field(ge=0, le=100)]  # of a part of a sum
Variance = Annotated[float, Field(ge=0, le=100)]
Centers = Annotated[list[Center], NotEmpty, Distinct]
Terms = Annotated[list[Term], NotEmpty, Distinct]


def shorter(value: Any, most: int = 60, depth: int = 2) -> str:
    """The value as it is shown in a message: of bounded length, whatever it is.

    depth: levels of nested lists that are shown; aliases of YAML can nest without end.
    """
    if isinstance(value, str):
        text = repr(value[: most + 1])
    elif isinstance(value, int) and abs(value) >= 10**most:
        text = "a number of too many digits"
    elif isinstance(value, list | tuple):
        shown = value[:4] if depth else ()
        parts = [shorter(part, 20, depth - 1) for part in shown]
        text = f"[{', '.join([*parts, *(['...'] if len(value) > len(shown) else [])])}]"
    elif isinstance(value, dict):
        text = f"a mapping of {', '.join(shorter(k, 20) for k in list(value)[:4]) or 'nothing'}"
    else:
        text = repr(value)
    return text if len(text) <= most + 2 else f"{text[: most - 1]}…"
