"""The projectors of a project as one model, or as the authors' files."""

import pytest
import torch
import yaml
from stored import store

from exmcr import config
from exmcr.commands.main import main
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.model import export
from exmcr.model.exmcr import Base, ExMCR, Leaf
from exmcr.project import Project
from exmcr.training.projectors import Projector


@pytest.fixture
def project(tmp_path, monkeypatch):
    params = config.read(project_root() / "params.yaml") | {"seeds": [0, 1], "spaces": "mini"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    opened = Project(tmp_path)
    for leaf in opened.leaves:
        for seed in opened.params.seeds:
            store(opened, leaf, seed, (8, 12, 16))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_a_model(project, capsys):
    assert main(["export", "out"]) == 0
    assert "audio, points into mini-image-text" in capsys.readouterr().out
    assert list(ExMCR.load(project / "out").leaves["points"].projectors) == [0, 1]
    assert main(["export", "one", "--seed", "1"]) == 0
    assert list(ExMCR.load(project / "one").leaves["points"].projectors) == [1]
    assert main(["export", "none", "--seed", "4"]) == 2
    assert "no projector" in capsys.readouterr().err
    assert main(["export", "theirs", "--official"]) == 2
    assert (
        "the authors' code runs clap, ulip2 into clip, not 'mini-audio-text'"
        in capsys.readouterr().err
    )
    assert not (project / "theirs").exists()


def test_the_authors_format(tmp_path):
    torch.manual_seed(0)
    base = Base("clip", "", 512, ("image", "text"))
    ears = Leaf("audio", "audio", "text", "clap", "a", 512, {2: Projector(), 4: Projector()})
    made = ExMCR(
        base,
        [ears, Leaf("points", "points", "image", "ulip2", "p", 512, {4: Projector()})],
        device="cpu",
    )
    assert [path.name for path in export.write_official(made, tmp_path, seed=4)] == [
        "ex_clap.pt",
        "ex_ulip.pt",
    ]
    x = torch.randn(5, 512)
    with torch.no_grad():
        for modality in ("audio", "points"):
            again = ExMCR.from_official(tmp_path, device="cpu").leaves[modality].projectors[0]
            assert torch.equal(again(x), made.leaves[modality].projectors[4](x))
    state = torch.load(tmp_path / "ex_clap.pt", weights_only=True)
    assert list(state)[:2] == ["Head1.weight", "Head1.bias"] and all(
        not t.requires_grad for t in state.values()
    )
    with pytest.raises(ConfigError, match="leaf 'points' has no projector of seed 2, only of 4"):
        export.write_official(made, tmp_path, seed=2)


@pytest.mark.parametrize(
    "other, words",
    [
        ({"hidden": 64}, "512 to 512 dimensions, hidden 64, f_l linear, f_m 2"),
        ({"depth_intra": 0}, "512 to 512 dimensions, hidden 1024, f_l 0, f_m 2"),
        ({"depth_intra": 1}, "512 to 512 dimensions, hidden 1024, f_l 1, f_m 2"),
        ({"depth_inter": 1}, "512 to 512 dimensions, hidden 1024, f_l linear, f_m 1"),
        ({"depth_inter": "linear"}, "512 to 512 dimensions, hidden 1024, f_l linear, f_m linear"),
        ({"dim": 768}, "768 to 512 dimensions, hidden 1024, f_l linear, f_m 2"),
    ],
)
def test_another_architecture_than_the_authors_is_refused_in_one_line(
    tmp_path, monkeypatch, capsys, other, words
):
    base = Base("clip", "", 512, ("image", "text"))
    projector = Projector(**other)
    wrong = Leaf("audio", "audio", "text", "clap", "a", projector.dim, {0: projector})
    right = Leaf("points", "points", "image", "ulip2", "p", 512, {0: Projector()})
    model = ExMCR(base, [right, wrong], device="cpu")
    with pytest.raises(ConfigError, match=f"that of leaf 'audio' has {words}$"):
        export.write_official(model, tmp_path / "out")
    monkeypatch.setattr(ExMCR, "from_project", lambda *_, **__: model)
    assert main(["export", str(tmp_path / "out"), "--official"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert said.err.startswith("exmcr export: the authors' code runs projectors of 512 to 512")
    assert not (tmp_path / "out").exists(), "not even the leaf that fits is written"


def test_two_leaves_of_one_file_are_refused(tmp_path):
    base = Base("clip", "", 512, ("image", "text"))
    leaves = [
        Leaf(modality, modality, "text", "clap", "a", 512, {0: Projector()})
        for modality in ("audio", "speech")
    ]
    model = ExMCR(base, leaves, device="cpu")
    with pytest.raises(ConfigError, match="two leaves from clap would both be ex_clap.pt; choose"):
        export.write_official(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
