"""params.yaml read and checked: every mistake is one line, and all are reported at once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.config.params import Params
from exmcr.config.values import shorter


def load(path: Path | None = None) -> Params:
    """Read and check params.yaml. Raises ConfigError that lists everything wrong in it."""
    path = path or project_root() / "params.yaml"
    return check(read(path))


def read(path: Path) -> Any:
    """The content of a YAML file. Raises ConfigError for invalid YAML or a repeated key."""
    try:
        return parsed(path.read_text(encoding="utf-8-sig"), path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error


def parsed(text: str, path: Path) -> Any:
    """The content of a YAML text. Raises ConfigError, which names the path, as `read`."""
    try:
        return yaml.load(text, _UniqueKeys)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {_yaml_problem(error)}") from error
    except (ValueError, RecursionError) as error:  # an impossible date or number, deep nesting
        reason = "too deep nesting" if isinstance(error, RecursionError) else error
        raise ConfigError(f"{path} is not valid YAML: {reason}") from error


def _yaml_problem(error: yaml.YAMLError) -> str:
    """One line of the several that a YAML error has."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + str(getattr(error, "problem", None) or " ".join(str(error).split()))


def check(content: Any) -> Params:
    """Parameters from the content of params.yaml. Raises ConfigError with one line per mistake."""
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ConfigError(f"params.yaml must be a mapping of names to values, is {kind}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise listed(line for one in error.errors() for line in _lines(one)) from None


def changed(params: Params, changes: dict[str, Any]) -> Params:
    """A checked copy with other values. changes: {"train.leaves.audio.tau2": 0.1, ...}.

    Raises ConfigError for an unknown path or an impossible value.
    """
    content = params.model_dump(by_alias=True, exclude_unset=True)
    for path, value in changes.items():
        *way, last = path.split(".")
        block = content
        for name in way:
            block = block.setdefault(name, {})
        block[last] = value
    return check(content)


def listed(lines: Iterable[str]) -> ConfigError:
    distinct = dict.fromkeys(lines)
    return ConfigError("params.yaml cannot be used:\n" + "\n".join(f"  - {x}" for x in distinct))


# What pydantic says after "Input should be", in words of YAML.
WORDS = {
    "a valid dictionary": "a dictionary of names and values",
    "a valid list": "a list",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
}


def _lines(error) -> list[str]:
    """One pydantic error as lines `path: what is wrong, is <value>`."""
    path = ".".join(shorter(part).strip("'") for part in error["loc"] if part != "[key]")
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return [f"{path}: unknown key; known: {', '.join(_keys_at(error['loc'][:-1]))}"]
    if kind == "missing":
        return [f"{path}: is missing"]
    if kind == "too_short":
        least = error["ctx"]["min_length"]
        return [f"{path}: must have at least {least} item{'s' if least > 1 else ''}"]
    if kind == "invalid_key" or ("[key]" in error["loc"] and kind == "string_type"):
        return [f"{path}: a key must be text, is {shorter(value)}"]
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if kind == "value_error" and not path:
        return message.splitlines()
    if kind == "value_error" and isinstance(value, dict) and ": " in message:
        return [f"{path}.{message}"]  # of a block, about one of its keys
    if message.startswith("must be a valid"):
        message = message.partition(" or instance of")[0]
        words = message.removeprefix("must be ")
        message = f"must be {WORDS.get(words, words)}"
    return [f"{path}: {message[0].lower()}{message[1:]}, is {shorter(value)}{_hint(kind, value)}"]


def _hint(kind: str, value: Any) -> str:
    """What to do about a number that YAML reads as text."""
    if kind not in ("float_type", "int_type") or not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return ", which is text: YAML needs a point, as in 1.0e-3" if "e" in value.lower() else ""


def _keys_at(loc) -> list[str]:
    """Names that the block at this path of params.yaml may have."""
    model: Any = Params
    for part in loc:
        if isinstance(part, int) or model is None:
            continue
        field = {f.alias or n: f for n, f in model.model_fields.items()}.get(part)
        model = _block_in(field.annotation) if field else model
    return [field.alias or name for name, field in model.model_fields.items()]


def _block_in(annotation) -> Any:
    """The model inside a type such as `dict[str, TrainOverrides]` or `list[PaperEntry]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if found := _block_in(part):
            return found
    return None


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that occurs twice is an error, not silently the last one."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' occurs twice", node.start_mark
                )
        return super().construct_mapping(node, deep)
