"""A task of a bench by its name.

Apart from concepts.py, which imports all methods: the notebooks of the first stages import
gallery.py, and must not depend on methods.
"""

from typing import TYPE_CHECKING

from exmcr.common.errors import ConfigError

if TYPE_CHECKING:
    from exmcr.evaluation.bench import Bench
    from exmcr.evaluation.tasks import Task


def find_task(bench: "Bench", name: str) -> "Task | None":
    """The task of this name, else the first benchmark with this direction ("audio->image (ave)"
    for "audio->image"), else None."""
    exact = [task for task in bench.all_tasks if task.name == name]
    similar = [task for task in bench.all_tasks if task.name.startswith(f"{name} (")]
    return next(iter(exact + similar), None)


def task_named(bench: "Bench", name: str) -> "Task":
    """The task that `find_task` finds. Raises ConfigError, listing the tasks, if there is none."""
    task = find_task(bench, name)
    if task is None:
        known = ", ".join(task.name for task in bench.all_tasks)
        raise ConfigError(f"no task '{name}' on the {bench.split} split; tasks: {known}")
    return task
