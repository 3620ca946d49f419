"""params.yaml read and checked: every mistake is one line, and all are reported at once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.config.params import Params


def load(path: Path | None = None) -> Params:
    """Read and check params.yaml. Raises ConfigError that lists everything wrong in it."""
    path = path or project_root() / "params.yaml"
    return check(read(path))


def read(path: Path) -> Any:
    """The content of a YAML file. Raises ConfigError for invalid YAML or a repeated key."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


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


def _lines(error) -> list[str]:
    """One pydantic error as lines `path: what is wrong, is <value>`."""
    path = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return [f"{path}: unknown key; known: {', '.join(_keys_at(error['loc'][:-1]))}"]
    if error["type"] == "missing":
        return [f"{path}: is missing"]
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if error["type"] == "value_error" and not path:
        return message.splitlines()
    if error["type"] == "value_error" and not isinstance(error["input"], str | int | float):
        return [f"{path}.{message}"]
    return [f"{path}: {message[0].lower()}{message[1:]}, is {error['input']!r}"]


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
            if isinstance(key, str) and keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' occurs twice", node.start_mark
                )
        return super().construct_mapping(node, deep)
