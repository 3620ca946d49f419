"""Values changed in the text of params.yaml: nothing else in it moves."""

from pathlib import Path

import pytest
import yaml

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.config.editing import assignment, edited

TEXT = (Path(__file__).parents[2] / "params.yaml").read_text()


def value_at(content, path):
    for key in path.split("."):
        content = content[int(key)] if isinstance(content, list) else content[key]
    return content


@pytest.mark.parametrize(
    "path, value, lines",
    [
        ("train.tau2", 0.07, 1),
        ("seeds", [0, 1], 1),
        ("sample", 24, 1),
        ("spaces", "paper", 1),
        ("train.leaves.audio.tau2", 0.3, 1),
        ("train.leaves.audio.lr", 0.01, 1),  # added to a block in one line
        ("train.leaves.points.tau2", 0.3, 1),  # added, as a block
        ("pair.centers", ["overlap"], 1),
        ("leaves.1.name", "shapes", 1),
        ("paper.3.most", 1000, 1),
        ("encoders.clip.tag", "laion2b_s34b_b79k", 1),
        ("visualize.questions", 3, 1),
        ("train.depth_inter", 3, 1),  # added to a block of many lines
    ],
)
def test_one_line_changes_and_everything_else_stays(path, value, lines):
    text = edited(TEXT, [(path, value)])
    assert value_at(yaml.safe_load(text), path) == value
    old, new = TEXT.splitlines(), text.splitlines()
    assert len(set(new) - set(old)) == lines and len(new) - len(old) in (0, 1)
    kept = [line for line in old if "#" in line and line in new]
    assert len(kept) >= sum("#" in line for line in old) - 1
    comments = [line.partition("#")[2] for line in old if "#" in line]
    assert comments == [line.partition("#")[2] for line in new if "#" in line]


def test_every_single_value_of_the_file_can_be_changed_and_changed_back():
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C: ten times as fast
    content = yaml.load(TEXT, loader)

    def paths(block, way=()):
        for key, value in block.items() if isinstance(block, dict) else enumerate(block):
            if isinstance(value, dict | list):
                yield from paths(value, (*way, str(key)))
            else:
                yield ".".join((*way, str(key))), value

    for path, value in list(paths(content))[::3]:
        if "." in path.replace("exmcr+", "") and "hop+" in path:
            continue
        changed = edited(TEXT, [(path, "something else")])
        assert value_at(yaml.load(changed, loader), path) == "something else", path
        assert yaml.load(edited(changed, [(path, value)]), loader) == content, path


def test_blocks_and_empty_values_are_replaced_and_filled():
    text = "a:  # why\n  - {x: 1}\n  - {x: 2} # two\n\n# next\nb:\nc: {}\nd: null\n"
    assert yaml.safe_load(edited(text, [("a", [3])]))["a"] == [3]
    assert "# next\n" in edited(text, [("a", [3])])
    assert yaml.safe_load(edited(text, [("b.x.y", 1)]))["b"] == {"x": {"y": 1}}
    assert yaml.safe_load(edited(text, [("c.x", 1), ("c.y", "z")]))["c"] == {"x": 1, "y": "z"}
    assert yaml.safe_load(edited(text, [("d.x", 1)]))["d"] == {"x": 1}
    assert edited("a:\n- 0\n- 1\nb: 2\n", [("a", [3])]) == "a: [3]\nb: 2\n"
    assert edited("a:\n  x: 0 # one\nb: 2\n", [("a.x", 3)]) == "a:\n  x: 3 # one\nb: 2\n"
    assert yaml.safe_load(edited("a: 1", [("b", True)])) == {"a": 1, "b": True}
    for path in ("a.7", "a.x", "a.0.x.y"):
        with pytest.raises(ConfigError, match=f"{path}: there is no block of names"):
            edited(text, [(path, 1)])


@pytest.mark.parametrize(
    "text, path, value",
    [
        ("train.lr=1e-3", "train.lr", 0.001),
        ("seeds=[0,1]", "seeds", [0, 1]),
        ("sample=null", "sample", None),
        ("train.loss=mod-x", "train.loss", "mod-x"),
        ("train.overlap_through_fl=true", "train.overlap_through_fl", True),
        ("a={b: 1}", "a", {"b": 1}),
    ],
)
def test_assignments_are_yaml(text, path, value):
    assert assignment(text) == (path, value)


@pytest.mark.parametrize("text", ["train.lr", "=3", "a..b=3", "a=[1", "a=2026-13-45", ""])
def test_other_words_are_no_assignments(text):
    with pytest.raises(ConfigError, match=f"'{text.replace('[', '.')}'"):
        assignment(text)


def test_the_command_refuses_what_cannot_be_and_says_which_leaves_override(tmp_path, capsys):
    from exmcr.commands.main import main

    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace("leaves: {} #", "leaves: {audio: {tau2: 0.2}} #"))
    where = ["--project", str(tmp_path)]
    assert main(["set", "train.tau2=0.07", "seeds=[0]", *where]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "train.tau2: 0.07",
        "train.leaves.audio.tau2 stays 0.2: it overrides train.tau2",
        "seeds: [0]",
    ]
    params = config.load(path)
    assert params.train.tau2 == 0.07 and params.seeds == [0]
    kept = path.read_text()
    for wrong in ("train.tau2=-1", "train.tua2=1", "train.loss=x", "train.lr", "train.lr.x=1"):
        assert main(["set", wrong, *where]) == 2, wrong
        assert path.read_text() == kept
