"""`exmcr set`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder


def register(app: typer.Typer) -> None:
    app.command("set", rich_help_panel="Stages of a run")(set_values)


def set_values(
    assignments: Annotated[
        list[str], typer.Argument(help="PATH=VALUE, such as train.tau2=0.1 or seeds=[0,1].")
    ],
    project: ProjectFolder = None,
) -> None:
    """Change values in params.yaml; its comments stay, and wrong values are refused.

    `dvc exp run` then runs what depends on them. (`dvc exp run -S` drops comments.)

    Example: `exmcr set train.tau2=0.1 seeds=[0,1] && dvc exp run`
    """
    from exmcr import config
    from exmcr.common.files import write_text
    from exmcr.common.paths import project_root
    from exmcr.config.editing import assignment, edited

    path = project_root(project) / "params.yaml"
    config.read(path)
    changes = [assignment(text) for text in assignments]
    text = edited(path.read_text(encoding="utf-8-sig"), changes)
    params = config.check(config.parsed(text, path))
    config.check_names(params)
    write_text(path, text)
    for name, value in changes:
        print(f"{name}: {value}")
        key = name.removeprefix("train.")
        for leaf, block in params.train.leaves.items():
            own = block.model_dump(by_alias=True, exclude_unset=True)
            if name.startswith("train.") and key in own:
                print(f"train.leaves.{leaf}.{key} stays {own[key]}: it overrides {name}")
