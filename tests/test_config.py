"""params.yaml: everything wrong in it is reported at once, one line each, before anything starts."""

from pathlib import Path

import pytest

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root

ROOT = Path(__file__).parents[1]


@pytest.fixture
def content():
    return config.read(ROOT / "params.yaml")


def put(content, path, value):
    *way, last = path.split(".")
    for key in way:
        content = content[int(key) if key.isdigit() else key]
    if value is KeyError:
        del content[last]
    else:
        content[int(last) if last.isdigit() else last] = value


MISTAKES = [
    ("sample", 0, "sample: must be greater than 0, is 0"),
    ("sample", True, "sample: .* is True"),
    ("sample", "all", "sample: .* is 'all'"),
    ("spaces", "huge", "spaces: no entry 'huge' under base, only mini, paper"),
    ("base", KeyError, "base: is missing"),
    ("seeds", [], "seeds: .*at least 1 item"),
    ("seeds", 3, "seeds: .*list"),
    ("seeds", [0, "1"], r"seeds.1: .* is '1'"),
    ("seeds", [0, 0], "seeds: repeated values"),
    ("seeds", [-1], "seeds.0: must be greater than or equal to 0, is -1"),
    ("leaves", [], "leaves: .*at least 1 item"),
    ("leaves.1.name", "audio", "leaves: repeated names"),
    ("leaves.0.modality", "smell", "leaves.0.modality: must be one of text, image, .*'smell'"),
    ("leaves.0.overlap", KeyError, "leaves.0.overlap: is missing"),
    ("leaves.0.overlap", "audio", "leaves.0.overlap: must differ from the modality, is 'audio'"),
    ("leaves.1.mini", KeyError, "leaves.1: leaf 'points' names no space for 'mini'"),
    ("leaves.0.modalty", "audio", "leaves.0.modalty: unknown key; known: name, modality"),
    ("leaves.0.paper", 3, "leaves.0.paper: must be the name of a space, is 3"),
    ("encoders.clap", "630k-fusion-best", "encoders.clap: .*dictionary.* is '630k-fusion-best'"),
    ("paper", {"corpus": "coco"}, "paper: .*list"),
    ("paper.0", "coco", "paper.0: .* is 'coco'"),
    ("paper.0.keep", KeyError, "paper.0.keep: is missing; a training pool is unpaired"),
    ("paper.0.keep", "smell", "paper.0.keep: must be one of text, image"),
    ("paper.0.as", "dev", "paper.0.as: must be 'train', 'val' or 'test', is 'dev'"),
    ("paper.2.most", 0, "paper.2.most: must be greater than 0, is 0"),
    ("paper.0.keeps", "text", "paper.0.keeps: unknown key; known: corpus, split, as, keep, most"),
    ("extract.shard", 0, "extract.shard: must be greater than 0, is 0"),
    ("extract.shard", 0.5, "extract.shard: .* is 0.5"),
    ("extract", None, "extract: .* is None"),
    ("pair.tau1", 0, "pair.tau1: must be greater than 0, is 0"),
    ("pair.tau1", -0.1, "pair.tau1"),
    ("pair.tau1", "0.01", "pair.tau1: .* is '0.01'"),
    ("pair.tau1", True, "pair.tau1"),
    ("pair.tau1", float("nan"), "pair.tau1"),
    ("pair.tau", 0.1, "pair.tau: unknown key; known: tau1, centers"),
    ("pair", KeyError, "pair: is missing"),
    ("pair.centers", [], "pair.centers: .*at least 1 item"),
    ("pair.centers", ["middle"], "pair.centers.0: must be 'overlap', 'leaf' or 'base'"),
    ("pair.centers", ["leaf", "leaf"], "pair.centers: repeated values"),
    ("pair.centers", "leaf", "pair.centers: .*list"),
    ("train", None, "train: .* is None"),
    ("train.tau2", 0, "train.tau2: must be greater than 0"),
    ("train.batch", -1, "train.batch"),
    ("train.batch", 1, "train.batch: must be greater than or equal to 2, is 1"),
    ("train.steps", None, "train.steps"),
    ("train.lr", 0, "train.lr"),
    ("train.lambda", -1, "train.lambda: must be greater than or equal to 0, is -1"),
    ("train.noise", None, "train.noise"),
    ("train.weight_decay", "a", "train.weight_decay"),
    ("train.terms", ["x-z"], "train.terms.0: must be 'x-o', 'o-o', 'x-y' or 'o-y', is 'x-z'"),
    ("train.terms", [], "train.terms"),
    ("train.terms", KeyError, "train.terms: is missing"),
    ("train.hidden", 0, "train.hidden: must be greater than 0"),
    ("train.hiden", 512, "train.hiden: unknown key; known: steps, batch"),
    ("train.depth_intra", -1, "train.depth_intra: must be 'linear' or a whole number >= 0, is -1"),
    ("train.depth_inter", 0, "train.depth_inter: must be 'linear' or a whole number >= 1, is 0"),
    ("train.depth_inter", True, "train.depth_inter"),
    ("train.leaves.audio.tua2", 0.1, "train.leaves.audio.tua2: unknown key; known: steps, batch"),
    ("train.leaves.audio.tau2", 0, "train.leaves.audio.tau2: must be greater than 0, is 0"),
    ("train.leaves.smell", {}, "train.leaves.smell: no leaf of this name; leaves: audio, points"),
    ("fit_spaces", KeyError, "fit_spaces: is missing"),
    ("fit_spaces.image_text.epochs", -3, "fit_spaces.image_text.epochs: must be greater than 0"),
    ("fit_spaces.points.epoch", 3, "fit_spaces.points.epoch: unknown key; known: epochs, batch"),
    ("compare.hop", 3, "compare.hop: .* is 3"),
    ("ablate.tau1", [0.1, 0], "ablate.tau1.1: must be greater than 0, is 0"),
    ("ablate.depth", [1], "ablate.depth: unknown key; known: steps, centers"),
    ("ablate.centers", ["leaf"], "ablate.centers.0: .*list"),
    ("ablate.steps", 0, "ablate.steps"),
    ("visualize.questions", 0, "visualize.questions: must be greater than 0"),
    ("visualise", {}, "visualise: unknown key; known: corpora, sample, spaces"),
]


@pytest.mark.parametrize(
    "path, value, message", MISTAKES, ids=[f"{p}={v!r}" for p, v, _ in MISTAKES]
)
def test_a_mistake_is_named_with_its_path(content, path, value, message):
    put(content, path, value)
    with pytest.raises(ConfigError, match=f"\n  - {message}"):
        config.check(content)


NAMES = [
    ("corpora", "nothing", "corpora: unknown corpus 'nothing'; known: mini, toy, paper"),
    ("base.mini", "bert", "base.mini: unknown space 'bert'; known: .*clip"),
    ("leaves.1.mini", "bert", "leaves.1.mini: unknown space 'bert'; known: .*clip"),
    ("leaves.0.overlap", "points", "leaves.0.overlap: unknown modality of its space 'points'"),
    ("encoders.bert", {}, "encoders: unknown space 'bert'; known: .*clip"),
    ("encoders.clip.tga", "openai", "encoders.clip.tga: unknown option; known: model, tag, chec"),
    ("encoders.clip.precision", "float8", "encoders.clip.precision: must be one of float32, bfl"),
    ("encoders.ulip2.normalization", "none", "encoders.ulip2.normalization: must be one of as_s"),
    ("encoders.clap.batch_size", 0, "encoders.clap.batch_size: must be a whole number > 0, is 0"),
    ("paper.0.corpus", "cocoa", "paper.0.corpus: unknown corpus 'cocoa'; known: coco"),
    ("train.loss", "infonse", "train.loss: unknown loss 'infonse'; known: exmcr, cwcl"),
    ("train.leaves.audio.loss", "x", "train.leaves.audio.loss: unknown loss 'x'; known: exmcr"),
    ("compare.hopp", {}, "compare.hopp: unknown method; known: direct, lstsq"),
    ("compare.hop.tua", 0.1, "compare.hop.tua: unknown setting; known: tau"),
    ("compare.hop+invgc.tau", 0.1, r"compare.hop\+invgc.tau: unknown setting; known: rate_gall"),
]


@pytest.mark.parametrize("path, value, message", NAMES, ids=[f"{p}={v!r}" for p, v, _ in NAMES])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(content, path, value, message):
    put(content, path, value)
    params = config.check(content)
    with pytest.raises(ConfigError, match=f"\n  - {message}"):
        config.check_names(params)


def test_all_mistakes_are_listed_in_one_error(content):
    wrong = {
        "sample": 0,
        "leaves.0.overlap": KeyError,
        "pair.tau1": 0,
        "train.lr": -1,
        "train.leaves.audio.tua2": 3,
        "pair.centers": [],
    }
    for path, value in wrong.items():
        put(content, path, value)
    with pytest.raises(ConfigError) as error:
        config.check(content)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(wrong) and all(line.startswith("  - ") for line in lines)
    for path in wrong:
        assert f"  - {path}: " in str(error.value)


def test_the_params_of_the_project_are_right():
    params = config.load(ROOT / "params.yaml")
    config.check_names(params)
    assert params.base_space == "mini-image-text"
    assert params.space_names() == ["mini-image-text", "mini-audio-text", "mini-points"]
    assert [params.leaf_space(leaf) for leaf in params.leaves] == params.space_names()[1:]


def test_the_encoders_of_the_paper_are_one_word_away(content):
    params = config.check(content | {"spaces": "paper"})
    config.check_names(params)
    assert params.space_names() == ["clip", "clap", "ulip2"]
    assert params.encoder_options("ulip2") == {"normalization": "as_stored"}
    assert params.encoder_options("mini-points") == {}


def test_a_leaf_overrides_single_settings_of_training(content):
    content["train"]["leaves"] = {"audio": {"tau2": 0.3, "lambda": 0, "loss": "cwcl"}}
    params = config.check(content)
    shared, own = params.train_settings("points"), params.train_settings("audio")
    assert own == shared | {"tau2": 0.3, "lambda": 0, "loss": "cwcl"}
    assert set(shared) == set(content["train"]) - {"leaves"} | {"depth_intra", "depth_inter"}


def test_zero_is_allowed_where_it_means_off(content):
    content["train"] |= {"lambda": 0, "noise": 0, "weight_decay": 0}
    config.check(content)


def test_blocks_without_entries_may_be_left_empty(content):
    content |= {"encoders": None, "compare": None, "ablate": None, "paper": []}
    content["train"]["leaves"] = None
    params = config.check(content)
    assert params.compare == {} and params.ablate.factors() == {} and params.encoders == {}


def test_changed_parameters_are_a_checked_copy(content):
    params = config.check(content)
    other = config.changed(params, {"train.leaves.points.tau2": 0.4, "pair.tau1": 0.5})
    assert other.train_settings("points")["tau2"] == 0.4 and other.pair.tau1 == 0.5
    assert params.train_settings("points")["tau2"] != 0.4 and params.pair.tau1 != 0.5
    with pytest.raises(ConfigError, match="pair.tau1"):
        config.changed(params, {"pair.tau1": -1})


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "a: [1, 2"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError):
        config.load(tmp_path / "params.yaml")


def test_a_key_that_occurs_twice_is_an_error(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("  tau1: 0.02", "  tau1: 0.02\n  tau1: 0.5")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match="the key 'tau1' occurs twice"):
        config.load(tmp_path / "params.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid YAML"):
        config.load(tmp_path / "params.yaml")


def test_the_root_is_found_from_below(tmp_path):
    (tmp_path / "params.yaml").write_text("{}")
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    assert project_root(below) == project_root(tmp_path) == tmp_path.resolve()


def test_outside_a_project_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no params.yaml"):
        project_root(tmp_path)
