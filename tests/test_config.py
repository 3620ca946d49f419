"""params.yaml: what is wrong is said, all of it at once, before anything starts."""

import copy
from pathlib import Path

import pytest
import yaml

from exmcr import config
from exmcr.common.errors import ConfigError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def params():
    return copy.deepcopy(config.load(ROOT / "params.yaml"))


def put(params, path, value):
    *way, last = path.split(".")
    for key in way:
        params = params[int(key) if key.isdigit() else key]
    if value is KeyError:
        del params[last]
    else:
        params[last] = value


MISTAKES = [
    ("corpora", "nothing", "corpora: unknown 'nothing', known: mini"),
    ("sample", 0, "sample must be null .everything. or a whole number > 0, is 0"),
    ("sample", True, "sample must be"),
    ("sample", "all", "sample must be .* is 'all'"),
    ("spaces", "huge", "spaces: 'huge' has no entry under base"),
    ("base", KeyError, "has no entry under base"),
    ("base.mini", "bert", "base: unknown space 'bert', known: .*clip"),
    ("seeds", [], "seeds must be a list of integers"),
    ("seeds", 3, "seeds must be a list of integers"),
    ("seeds", [0, "1"], "seeds must be a list of integers"),
    ("leaves", [], "at least one leaf"),
    ("leaves.1.name", "audio", "names repeat"),
    (
        "leaves.0.modality",
        "smell",
        "leaf 'audio': modality must be one of text, image, audio, points, is 'smell'",
    ),
    ("leaves.0.overlap", KeyError, "leaf 'audio' needs an overlap"),
    ("leaves.0.overlap", "audio", "overlap and modality are both 'audio'"),
    ("leaves.1.mini", KeyError, "leaf 'points' names no space for spaces: mini"),
    ("leaves.1.mini", "bert", "leaf 'points': unknown space 'bert'"),
    ("encoders.bert", {}, "encoders: unknown space 'bert', known: .*clip"),
    (
        "encoders.clap",
        "630k-fusion-best",
        "encoders.clap must hold options by name, is '630k-fusion-best'",
    ),
    (
        "encoders.clip.tga",
        "openai",
        "encoders.clip: unknown option 'tga', known: model, tag, checkpoint, precision, device, batch_size",
    ),
    (
        "encoders.clip.precision",
        "float8",
        "encoders.clip.precision must be one of float32, bfloat16, is 'float8'",
    ),
    (
        "encoders.ulip2.normalization",
        "none",
        "encoders.ulip2.normalization must be one of as_stored, unit_sphere, is 'none'",
    ),
    ("encoders.clap.batch_size", 0, "encoders.clap.batch_size must be a whole number > 0, is 0"),
    ("paper", ["coco"], "paper.0 must hold corpus, split"),
    ("paper", {"corpus": "coco"}, "paper must be a list of corpora"),
    ("extract.shard", 0, "extract.shard must be a number > 0, is 0"),
    ("extract", None, "extract.shard"),
    ("pair.tau1", 0, "pair.tau1 must be a number > 0, is 0"),
    ("pair.tau1", -0.1, "pair.tau1"),
    ("pair.tau1", "0.01", "pair.tau1 must be a number > 0, is '0.01'"),
    ("pair.tau1", True, "pair.tau1"),
    ("pair.tau1", float("nan"), "pair.tau1"),
    ("pair", KeyError, "pair.tau1"),
    ("pair.centers", [], "pair.centers must be some of overlap, leaf, base"),
    ("pair.centers", ["middle"], "pair.centers"),
    ("pair.centers", "leaf", "pair.centers"),
    ("train", None, "train.tau2"),
    ("train.tau2", 0, "train.tau2"),
    ("train.batch", -1, "train.batch"),
    ("train.steps", None, "train.steps"),
    ("train.lr", 0, "train.lr"),
    ("train.lambda", -1, "train.lambda must be a number >= 0"),
    ("train.noise", None, "train.noise"),
    ("train.weight_decay", "a", "train.weight_decay"),
    ("train.terms", ["x-z"], "train.terms must be some of x-o, o-o, x-y, o-y"),
    ("train.terms", [], "train.terms"),
    ("train.terms", KeyError, "train.terms"),
]


@pytest.mark.parametrize(
    "path, value, message", MISTAKES, ids=[f"{p}={v!r}" for p, v, _ in MISTAKES]
)
def test_a_mistake_is_named(params, path, value, message):
    put(params, path, value)
    with pytest.raises(ConfigError, match=message):
        config.check(params)


def test_all_mistakes_are_listed_in_one_error(params):
    for path, value in (
        ("corpora", "x"),
        ("leaves.0.overlap", None),
        ("pair.tau1", 0),
        ("train.lr", -1),
        ("pair.centers", []),
    ):
        put(params, path, value)
    with pytest.raises(ConfigError) as error:
        config.check(params)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 5 and all(line.startswith("  - ") for line in lines)
    for word in ("corpora", "overlap", "tau1", "lr", "centers"):
        assert word in str(error.value)


def test_the_params_of_the_project_are_right(params):
    config.check(params)
    assert config.base_space(params) == "mini-image-text"
    assert [config.leaf_space(params, leaf) for leaf in params["leaves"]] == [
        "mini-audio-text",
        "mini-points",
    ]


def test_the_encoders_of_the_paper_are_one_word_away(params):
    params["spaces"] = "paper"
    config.check(params)
    assert config.base_space(params) == "clip" and [
        config.leaf_space(params, leaf) for leaf in params["leaves"]
    ] == ["clap", "ulip2"]
    assert (
        config.encoder_options(params, "ulip2") == {"normalization": "as_stored"}
        and config.encoder_options(params, "mini-points") == {}
    )


def test_zero_is_allowed_where_it_means_off(params):
    params["train"] |= {"lambda": 0, "noise": 0, "weight_decay": 0}
    config.check(params)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "a: [1, 2"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError):
        config.load(tmp_path / "params.yaml")


def test_the_root_is_found_from_below(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({}))
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    assert config.project_root(below) == config.project_root(tmp_path) == tmp_path.resolve()


def test_outside_a_project_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no params.yaml"):
        config.project_root(tmp_path)
