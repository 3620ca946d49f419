"""params.yaml: everything wrong in it is reported at once, one line each, before anything starts."""

from pathlib import Path

import pytest

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root

ROOT = Path(__file__).parents[2]


@pytest.fixture
def content():
    content = config.read(ROOT / "params.yaml")
    content["train"]["leaves"] = {"audio": {"steps": 150}}
    return content


TOP = (3,)  # a key that is no text


def put(content, path, value):
    *way, last = path.split(".") if path not in TOP else [path]
    for key in way:
        content = content[int(key) if key.isdigit() else key]
    if value is KeyError:
        del content[last]
    else:
        content[int(last) if str(last).isdigit() else last] = value


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
    ("fit_spaces.image_text.names", -3, "fit_spaces.image_text.names: must be greater than 0"),
    ("fit_spaces.points.epochs", 3, "fit_spaces.points.epochs: unknown key; known: names, power"),
    ("compare.hop", 3, "compare.hop: .* is 3"),
    ("ablate.tau1", [0.1, 0], "ablate.tau1.1: must be greater than 0, is 0"),
    ("ablate.depth", [1], "ablate.depth: unknown key; known: steps, centers"),
    ("ablate.centers", ["leaf"], "ablate.centers.0: .*list"),
    ("ablate.steps", 0, "ablate.steps"),
    ("visualize.questions", 0, "visualize.questions: must be greater than 0"),
    ("visualise", {}, "visualise: unknown key; known: corpora, sample, spaces"),
    # misspelt keys, at every level
    ("corpus", "mini", "corpus: unknown key; known: corpora, sample"),
    ("seed", 0, "seed: unknown key"),
    ("Train", {}, "Train: unknown key"),
    ("train.Leaves", {}, "train.Leaves: unknown key"),
    ("train.lambda_", 1.0, "train.lambda_: unknown key"),
    ("train.leaves.audio.leaves", {}, "train.leaves.audio.leaves: unknown key"),
    ("paper.0.as_", "val", "paper.0.as_: unknown key"),
    ("fit_spaces.sources", ["emoji"], "fit_spaces.sources: unknown key"),
    ("extract.shards", 3, "extract.shards: unknown key; known: shard"),
    ("visualize.question", 3, "visualize.question: unknown key"),
    (3, "three", "3: a key must be text, is 3"),
    # wrong types
    ("corpora", ["mini"], r"corpora: must be text, is \['mini'\]"),
    ("corpora", None, "corpora: must be text, is None"),
    ("spaces", ["mini"], "spaces: must be text"),
    ("sample", 1.0, "sample: must be a whole number, is 1.0"),
    ("sample", [3], r"sample: must be a whole number, is \[3\]"),
    ("seeds", [0.0], "seeds.0: must be a whole number, is 0.0"),
    ("seeds", [True], "seeds.0: must be a whole number, is True"),
    ("seeds", None, "seeds: must be a list, is None"),
    ("base", None, "base: must be a dictionary of names and values, is None"),
    ("base", {}, "base: must have at least 1 item"),
    ("base.mini", None, "base.mini: must be text, is None"),
    ("base.mini", ["clip"], "base.mini: must be text"),
    ("leaves", {"name": "audio"}, "leaves: must be a list, is a mapping of 'name'"),
    ("leaves.0", "audio", "leaves.0: must be a dictionary of names and values, is 'audio'"),
    ("leaves.0.name", 3, "leaves.0.name: must be text, is 3"),
    ("leaves.0.mini", ["x"], "leaves.0.mini: must be the name of a space"),
    ("leaves.0.mini", None, "leaves.0.mini: must be the name of a space, is None"),
    ("encoders", [], r"encoders: must be a dictionary of names and values, is \[\]"),
    ("paper", None, "paper: must be a list, is None"),
    ("paper.0.split", None, "paper.0.split: must be text, is None"),
    ("paper.0.split", "", "paper.0.split: "),
    ("paper.0.prompts", "yes", "paper.0.prompts: must be true or false, is 'yes'"),
    ("paper.0.prompts", 1, "paper.0.prompts: must be true or false, is 1"),
    ("paper.0.folder", 3, "paper.0.folder: must be text, is 3"),
    ("paper.2.most", 1.5, "paper.2.most: must be a whole number, is 1.5"),
    ("fit_spaces.base_sources", "emoji", "fit_spaces.base_sources: must be a list, is 'emoji'"),
    ("fit_spaces.base_sources", [3], "fit_spaces.base_sources.0: must be text, is 3"),
    ("fit_spaces.image_text", None, "fit_spaces.image_text: must be a dictionary"),
    ("fit_spaces.image_text.ridge", "a", "fit_spaces.image_text.ridge: must be a number, is 'a'"),
    ("pair.centers", None, "pair.centers: must be a list, is None"),
    ("train.steps", 2.0, "train.steps: must be a whole number, is 2.0"),
    (
        "train.lr",
        "1e-3",
        "train.lr: must be a number, is '1e-3', which is text: YAML needs a point",
    ),
    ("train.overlap_through_fl", "no", "train.overlap_through_fl: must be true or false, is 'no'"),
    ("train.overlap_through_fl", 0, "train.overlap_through_fl: must be true or false, is 0"),
    ("train.loss", None, "train.loss: must be text, is None"),
    ("train.leaves", [], "train.leaves: must be a dictionary of names and values"),
    ("train.leaves.audio", [], "train.leaves.audio: must be a dictionary of names and values"),
    ("train.leaves.audio.steps", None, "train.leaves.audio.steps: needs a value; delete the line"),
    ("train.depth_inter", 2.0, "train.depth_inter: must be 'linear' or a whole number >= 1"),
    ("compare", [], "compare: must be a dictionary of names and values"),
    ("ablate", [], "ablate: must be a dictionary of names and values"),
    ("ablate.tau2", 0.1, "ablate.tau2: must be a list, is 0.1"),
    ("ablate.lambda", ["a"], "ablate.lambda.0: must be a number, is 'a'"),
    ("ablate.overlap_through_fl", ["a"], "ablate.overlap_through_fl.0: must be true or false"),
    ("visualize", None, "visualize: must be a dictionary"),
    ("visualize.umap_items", 2.5, "visualize.umap_items: must be a whole number, is 2.5"),
    # values that cannot be hashed
    ("leaves.0.modality", ["audio"], r"leaves.0.modality: must be one of .*, is \['audio'\]"),
    ("leaves.0.overlap", {}, "leaves.0.overlap: must be one of .*, is a mapping of nothing"),
    ("leaves.0.other", ["image"], "leaves.0.other: must be one of "),
    ("paper.0.keep", ["text"], "paper.0.keep: must be one of "),
    ("pair.centers", [["leaf"]], "pair.centers.0: must be 'overlap', 'leaf' or 'base'"),
    ("pair.centers", [{}], "pair.centers.0: must be 'overlap', 'leaf' or 'base'"),
    ("train.terms", [["x-o"]], "train.terms.0: must be 'x-o', 'o-o', 'x-y' or 'o-y'"),
    ("train.loss", ["exmcr"], "train.loss: must be text"),
    ("train.depth_inter", ["linear"], "train.depth_inter: must be 'linear' or a whole number"),
    ("train.depth_inter", {}, "train.depth_inter: must be 'linear' or a whole number"),
    # NaN, infinite, negative, tiny
    ("pair.tau1", float("inf"), "pair.tau1: must be .*, is inf"),
    ("pair.tau1", 1e-40, "pair.tau1: must be at least 0.0001, is 1e-40"),
    ("train.lr", float("nan"), "train.lr: must be a finite number, is nan"),
    ("train.noise", float("inf"), "train.noise: must be .*, is inf"),
    ("train.noise", -0.1, "train.noise: must be greater than or equal to 0, is -0.1"),
    ("train.weight_decay", -1, "train.weight_decay: must be greater than or equal to 0"),
    ("fit_spaces.image_text.prior", float("inf"), "fit_spaces.image_text.prior: must be .*, is in"),
    ("fit_spaces.image_text.seed", -1, "fit_spaces.image_text.seed: must be greater than or eq"),
    ("ablate.noise", [float("nan")], "ablate.noise.0: must be a finite number, is nan"),
    # too large
    ("sample", 10**30, "sample: must be less than or equal to 1000000000"),
    ("sample", 10**400, "sample: .* a number of too many digits"),
    ("seeds", [2**32], "seeds.0: must be less than 4294967296, is 4294967296"),
    ("paper.2.most", 10**30, "paper.2.most: must be less than or equal to"),
    ("fit_spaces.points.names", 10**30, "fit_spaces.points.names: must be less than or equal"),
    ("fit_spaces.points.looks", 1e9, "fit_spaces.points.looks: must be less than or equal to"),
    ("extract.shard", 10**7, "extract.shard: must be less than or equal to 1000000"),
    ("pair.tau1", 1e9, "pair.tau1: must be less than or equal to 100"),
    ("train.steps", 10**12, "train.steps: must be less than or equal to"),
    ("train.batch", 10**9, "train.batch: must be less than or equal to 1000000"),
    ("train.lr", 1e30, "train.lr: must be less than or equal to 10"),
    ("train.hidden", 10**6, "train.hidden: must be less than or equal to 65536"),
    ("train.depth_intra", 10**6, "train.depth_intra: must be at most 32, is 1000000"),
    ("train.depth_inter", 33, "train.depth_inter: must be at most 32, is 33"),
    ("visualize.umap_items", 10**9, "visualize.umap_items: must be less than or equal to"),
    ("visualize.umap_items", 2, "visualize.umap_items: must be greater than or equal to 3"),
    ("visualize.questions", 10**6, "visualize.questions: must be less than or equal to 100"),
    # empty and repeated
    ("fit_spaces.base_sources", [], "fit_spaces.base_sources: must have at least 1 item"),
    ("fit_spaces.base_sources", ["a", "a"], "fit_spaces.base_sources: repeated values"),
    ("fit_spaces.base_sources", [""], "fit_spaces.base_sources.0: "),
    ("fit_spaces.image_text.ridge", -1, "fit_spaces.image_text.ridge: must be greater than"),
    ("train.terms", ["x-o", "x-o"], "train.terms: repeated values"),
    ("train.leaves.audio.terms", [], "train.leaves.audio.terms: must have at least 1 item"),
    ("train.leaves.audio.batch", 1, "train.leaves.audio.batch: must be greater than or equal to 2"),
    ("ablate.tau1", [], "ablate.tau1: must have at least 1 item"),
    ("ablate.tau1", [0.1, 0.1], "ablate.tau1: repeated values"),
    ("ablate.centers", [["leaf"], ["leaf"]], "ablate.centers: repeated values"),
    ("ablate.centers", [["leaf", "leaf"]], "ablate.centers.0: repeated values"),
    ("ablate.terms", [[]], "ablate.terms.0: must have at least 1 item"),
    ("ablate.depth_inter", [True], "ablate.depth_inter.0: must be 'linear' or a whole number"),
    # names that become files
    *(
        ("leaves.0.name", name, "leaves.0.name: must be a name of letters, digits and")
        for name in ("", "../x", "a/b", "..", ".hidden", "a b", "ä", "a" * 101, "a\n", "-x")
    ),
    ("leaves.1.name", "Audio", "leaves: repeated names in"),
    ("base.a/b", "clip", "base.a/b: must be a name of letters, digits and"),
    # roles of a leaf
    ("leaves.0.other", "text", "leaves.0.other: must differ from the overlap, is 'text'"),
    ("leaves.0.other", "audio", "leaves.0.other: must differ from the modality, is 'audio'"),
    # imported embeddings
    ("imported", ["mine"], "imported: must be a dictionary"),
    ("imported", {"mine": ["text"]}, "imported.mine: .*at least 2 items"),
    ("imported", {"mine": ["text", "smell"]}, "imported.mine.1: must be one of text, image"),
    ("imported", {"mine": ["text", "text"]}, "imported.mine: repeated values"),
    ("imported", {"../x": ["text", "image"]}, "imported.../x: must be a name of letters"),
]


@pytest.mark.parametrize(
    "path, value, message", MISTAKES, ids=[f"{p}={v!r}" for p, v, _ in MISTAKES]
)
def test_a_mistake_is_named_with_its_path(content, path, value, message):
    put(content, path, value)
    with pytest.raises(ConfigError, match=f"\n  - {message}") as error:
        config.check(content)
    assert all(len(line) < 400 for line in str(error.value).splitlines())


NAMES = [
    (
        "corpora",
        "nothing",
        "corpora: unknown corpus 'nothing'; known: mini, mini.speech, toy, paper",
    ),
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
    ("corpora", "", "corpora: unknown corpus ''; known: mini"),
    ("base.mini", "", "base.mini: unknown space ''"),
    ("leaves.0.modality", "image", "leaves.0.modality: unknown modality of its space 'image'"),
    ("leaves.0.other", "points", "leaves.0.other: unknown modality of its space 'points'"),
    ("leaves.0.mini", "mini-image-text", "leaves.0.modality: unknown modality of its space 'aud"),
    ("base.mini", "mini-points", "leaves.1.modality: the base has 'points' already"),
    ("imported", {"clip": ["text", "image"]}, "imported.clip: is the name of a space with an enc"),
    ("encoders.clip.model", ["a"], "encoders.clip.model: must be text"),
    ("encoders.clip.model", 3, "encoders.clip.model: must be text, is 3"),
    ("encoders.clap.device", 3, "encoders.clap.device: must be text, is 3"),
    ("encoders.clap.checkpoint", None, "encoders.clap.checkpoint: must be text, is None"),
    ("encoders.clip.batch_size", 10**30, "encoders.clip.batch_size: must be a whole number fro"),
    ("encoders.clip.batch_size", 1.5, "encoders.clip.batch_size: must be a whole number"),
    ("compare.hop.tau", 0, "compare.hop.tau: must be a number from 0.0001 to 100, is 0"),
    ("compare.hop.tau", -1, "compare.hop.tau: must be a number from 0.0001 to 100, is -1"),
    ("compare.hop.tau", "a", "compare.hop.tau: must be a number"),
    ("compare.hop.tau", float("nan"), "compare.hop.tau: must be a number"),
    ("compare.hop.tau", True, "compare.hop.tau: must be a number"),
    ("compare.cca.dims", 0, "compare.cca.dims: must be a whole number from 1"),
    ("compare.cca.dims", 1.5, "compare.cca.dims: must be a whole number from 1"),
    ("compare.cca.power", -1, "compare.cca.power: must be a number from 0"),
    ("compare.ridge.alpha", -1, "compare.ridge.alpha: must be a number from 0"),
    ("compare.relative.anchors", 10**12, "compare.relative.anchors: must be a whole number from 1"),
    ("compare.asif.keep", 0, "compare.asif.keep: must be a whole number from 1"),
    ("compare.translation.center", "x", "compare.translation.center: must be one of own, overl"),
    ("compare.translation.center", ["own"], "compare.translation.center: must be one of own"),
    ("compare.summit.members", [], "compare.summit.members: must be a list of different"),
    ("compare.summit.members", "hop", "compare.summit.members: must be a list of different"),
    ("compare.summit.members", ["summit"], "compare.summit.members: must be a list of dif"),
    ("compare.summit.members", ["hop", "hop"], "compare.summit.members: must be a list of"),
    ("compare.summit.members", [["hop"]], "compare.summit.members: must be a list of"),
    ("compare.exmcr+.steps", -1, r"compare.exmcr\+.steps: must be a whole number from 1"),
    ("compare.exmcr+.settle", 1.5, r"compare.exmcr\+.settle: must be a number from 0 to 1"),
    ("compare.hop+invgc.rate_query", "a", r"compare.hop\+invgc.rate_query: must be a number"),
    ("compare.cmcr", {"form": "x"}, "compare.cmcr.form: must be one of clap-clip, ulip-clip"),
    ("compare.cmcr", {"settings": {"tau": 1}}, "compare.cmcr.settings.'tau': unknown name; known"),
    ("compare.cmcr", {"settings": {"tau2": 0}}, "compare.cmcr.settings.tau2: must be a number"),
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


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [1, 2", "line 1, column 9: "),
        ("a: 1\n\tb: 2", "line 2, column 1: "),
        ("a: &a 1\nb: *c", "line 2, column 4: found undefined alias"),
        ("a: 1\n---\nb: 2", "line 2, column 1: "),
        ("? [1]\n: 2", "line 1, column 3: found unhashable key"),
        ("1: a\n1: b", "the key '1' occurs twice"),
        ("a: 2026-13-45", "month must be in 1..12"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: " + "[" * 5000, "too deep nesting"),
        ("a: " + "1" * 5000, "[dD]igits"),
        ("a: \x00", "unacceptable character"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_yaml_is_refused_in_one_line_with_its_place(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"{path} is not valid YAML: .*{message}") as error:
        config.load(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_value_that_expands_without_end_is_shown_in_short(tmp_path):
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match="a11: unknown key"):
        config.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(text.replace("a11:", "corpora:"))
    with pytest.raises(ConfigError, match="corpora: must be text, is .{1,90}\n"):
        config.load(tmp_path / "params.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8-sig")
    assert config.load(tmp_path / "params.yaml") == config.load(ROOT / "params.yaml")


def test_two_leaves_may_have_one_modality(content):
    content["leaves"].append(content["leaves"][0] | {"name": "louder"})
    config.check_names(config.check(content))


def test_centers_and_terms_are_those_of_the_code():
    from exmcr.pairing import pairs
    from exmcr.training import objectives

    assert tuple(pairs.CENTERS) == config.CENTERS
    assert tuple(getattr(objectives, "TERMS", config.TERMS)) == config.TERMS


def test_every_value_in_params_yaml_is_checked(content):
    """No leaf of the file may be replaced by a value of another kind."""
    accepted = []

    def visit(block, path):
        entries = block.items() if isinstance(block, dict) else enumerate(block)
        for key, value in list(entries):
            if isinstance(value, dict | list):
                visit(value, (*path, key))
            for wrong in ({"x": [{}]}, float("nan")):
                block[key] = wrong
                try:
                    config.check_names(config.check(content))
                    accepted.append((*path, key))
                except ConfigError as error:
                    assert f"{path[0] if path else key}" in str(error)
            block[key] = value

    visit(content, ())
    assert not accepted


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
