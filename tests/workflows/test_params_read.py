"""The params that dvc.yaml lists for a stage are those that it reads, no more and no fewer."""

import pytest
import yaml

from exmcr import pipeline
from exmcr.common.paths import project_root
from exmcr.config import Params
from exmcr.project import Project

STAGES = yaml.safe_load((project_root() / "dvc.yaml").read_text())["stages"]
# Read by the notebook of a stage or for values that do not matter on this run.
FIGURES = ("visualize", "examples")  # stages that only show what others made
BY_NOTEBOOK = {"visualize"}
# Every reading of a space by its profile names all of these together.
TOGETHER = {"spaces", "base", "leaves", "imported", "encoders"}


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """{stage: fields of Params that its function reads}, of one whole toy run."""
    import toy_spaces

    from exmcr.spaces import SPACES

    before, folder = dict(SPACES), tmp_path_factory.mktemp("read")
    params = toy_spaces.content(folder)
    params["train"] |= {"steps": 2, "batch": 16, "hidden": 16}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    project = Project(folder)
    seen: set[str] = set()
    plain = Params.__getattribute__

    def recorded(self, name):
        if name in Params.model_fields:
            seen.add(name)
        return plain(self, name)

    found = {}
    Params.__getattribute__ = recorded
    try:
        for stage in ("corpora", "fit_spaces", "extract", "pair", "train", "evaluate"):
            seen.clear()
            getattr(pipeline, stage)(project)
            found[stage] = set(seen)
    finally:
        Params.__getattribute__ = plain
        SPACES.clear()
        SPACES.update(before)
    return found


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in FIGURES])
def test_a_stage_lists_exactly_the_params_that_it_reads(read, stage):
    listed = {name.split(".")[0] for name in STAGES[stage]["params"]}
    assert read[stage] <= listed, f"{stage} also reads {sorted(read[stage] - listed)}"
    spare = listed - read[stage] - BY_NOTEBOOK - TOGETHER
    assert not spare, f"{stage} does not read {sorted(spare)}"
