"""Which modules of the package a piece of code uses, read from its imports without running it.

An import inside a function counts as well as one at the top of a module, and so does the name of a
module in a registry ("exmcr.spaces.clip:Clip"). Modules of which a stage uses only some functions or
methods are looked into one by one: exmcr.pipeline, exmcr.project, exmcr.toy_project and
exmcr.config.names.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "exmcr"
IN_REGISTRY = re.compile(r"^(exmcr(?:\.\w+)+):\w+$")
DISCOVERED = {"exmcr.methods.registry": "methods"}  # imports every module of that folder


def path_of(module: str) -> Path | None:
    """The file of a module or package, None if there is none."""
    base = PACKAGE.parent / module.replace(".", "/")
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def all_modules() -> list[str]:
    """Every module of the package, by its dotted name."""
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def used_by(source: str, unused: dict[str, set[str]] | None = None) -> set[str]:
    """Modules that some code uses, directly or not.

    unused: {module: names of its functions and methods that are not called, and do not count}.
    """
    unused, found = unused or {}, set()
    waiting = list(_imported(ast.parse(source)))
    while waiting:
        module = waiting.pop()
        parent = module.rpartition(".")[0]
        if module in found or path_of(module) is None:
            if path_of(module) is None and parent:  # `from module import name`
                waiting.append(parent)
            continue
        found.add(module)
        if parent:
            waiting.append(parent)
        tree = _tree(module)
        waiting += _imported(tree, unused.get(module, set()))
        if module in DISCOVERED:
            folder = PACKAGE / DISCOVERED[module]
            waiting += [f"exmcr.{folder.name}.{path.stem}" for path in folder.glob("*.py")]
    return found


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text())


def functions_of(module: str) -> set[str]:
    """Names of the functions and methods of a module."""
    return {n.name for n in ast.walk(_tree(module)) if isinstance(n, ast.FunctionDef)}


def _imported(tree: ast.AST, unused: set[str] = frozenset()) -> Iterator[str]:
    def counts(node: ast.AST) -> bool:
        return not _for_types(node) and getattr(node, "name", None) not in unused

    skipped = {id(n) for block in ast.walk(tree) if not counts(block) for n in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "exmcr":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("exmcr"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if match := IN_REGISTRY.match(node.value):
                yield match[1]


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
