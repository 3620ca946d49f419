"""Values of params.yaml changed in its text, so that comments and layout stay.

`dvc exp run -S` writes the file anew: it puts every list into another layout and drops the comments
in it.
"""

from collections.abc import Iterable
from typing import Any

import yaml

from exmcr.common.errors import ConfigError


def assignment(text: str) -> tuple[str, Any]:
    """`train.tau2=0.1` as (path, value); the value is YAML, where 1e-3 counts as a number.

    Raises ConfigError for anything else.
    """
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        raise ConfigError(f"'{text}' is no assignment such as train.tau2=0.1")
    try:
        parsed = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"'{text}': the value is no YAML") from error
    if isinstance(parsed, str):
        try:
            return path, float(parsed)
        except ValueError:
            pass
    return path, parsed


def edited(text: str, changes: Iterable[tuple[str, Any]]) -> str:
    """The text of a YAML file with other values at these paths, e.g. ("train.leaves.audio.tau2",
    0.1) or ("leaves.0.name", "sounds"). A key that is missing is added to its block.

    Raises ConfigError for a path that leads through anything but blocks and lists.
    """
    for path, value in changes:
        text = _with(text, path.split("."), value)
    return text


def _with(text: str, path: list[str], value: Any) -> str:
    node: Any = yaml.compose(text, yaml.SafeLoader)
    start = 0
    for depth, key in enumerate(path):
        inner = _child(node, key)
        if inner is None:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _added(text, node, key, value, path)
        start = _start(text, node, key, inner)
        node = inner
    space = "" if text[start - 1 : start] in (" ", "") else " "
    return text[:start] + space + _flow(value) + text[_end(node) :]


def _start(text: str, parent: Any, key: str, node: Any) -> int:
    """Where a new value on one line is put: for a block below its key, behind the colon."""
    start = node.start_mark
    if isinstance(parent, yaml.MappingNode):
        name = next(name for name, inner in parent.value if name.value == key)
        if name.start_mark.line != start.line:
            return text.index(":", name.end_mark.index) + 1
    return start.index


def _child(node: Any, key: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        return next((inner for name, inner in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        return node.value[int(key)]
    return None


def _added(text: str, node: Any, key: str, value: Any, path: list[str]) -> str:
    """The text with one more entry in a mapping."""
    if isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~"):
        return text[: node.start_mark.index] + f" {_flow({key: value})}" + text[_end(node) :]
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{'.'.join(path)}: there is no block of names that could hold '{key}'")
    if node.flow_style:
        end = _end(node) - 1  # the closing brace
        comma = ", " if node.value else ""
        return f"{text[:end].rstrip()}{comma}{_flow({key: value})[1:-1]}{text[end:]}"
    indent = " " * node.value[0][0].start_mark.column
    end = text.find("\n", _end(node.value[-1][1]))
    line, rest = (text, "\n") if end < 0 else (text[:end], text[end:])
    return f"{line}\n{indent}{_flow({key: value})[1:-1]}{rest}"


def _end(node: Any) -> int:
    """Where the text of a node ends. A block ends with its last entry: the mark of yaml is at the
    next token, after comments."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
