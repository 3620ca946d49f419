"""params.yaml: found, read and checked before any work starts."""

from pathlib import Path

import yaml

from exmcr.errors import ConfigError
from exmcr.media import MODALITIES

CENTRES = ("overlap", "leaf", "base")
ABLATED = ("centres", "terms", "depth_intra", "depth_inter", "tau1", "tau2", "lambda", "noise", "overlap_through_fl")
AUTHORS_DEPTHS = {"depth_intra": "linear", "depth_inter": 2}  # of f_l and f_m; see exmcr.projectors.Projector
TERMS = ("x-o", "o-o", "x-y", "o-y")  # projected leaf modality or overlap, against base overlap or other modality


def project_root(start: Path | None = None) -> Path:
    """The folder that holds params.yaml, from a notebook or a test anywhere below it. Raises ConfigError.

    papermill runs in the caller's folder and nbmake in the notebook's; both find the same root."""
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise ConfigError(f"no params.yaml in {here} or above it; run from inside the project")


def load(path: Path | None = None) -> dict:
    """Read and check params.yaml (of the project, unless `path` names another). Raises ConfigError naming the bad value."""
    path = path or project_root() / "params.yaml"
    try:
        params = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    check(params)
    return params


def check(params: dict) -> None:
    """Raise one ConfigError that lists everything wrong with `params`."""
    from exmcr.corpora import CORPORA
    from exmcr.spaces import SPACES, options, space_class

    if not isinstance(params, dict):
        raise ConfigError(f"params.yaml must hold names and values, is {type(params).__name__}")
    wrong = []

    def expect(condition, message):
        if not condition and message not in wrong:  # what two leaves share is wrong once
            wrong.append(message)

    def positive(block, *names):
        for name in names:
            value = (params.get(block) or {}).get(name)
            expect(isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0, f"{block}.{name} must be a number > 0, is {value!r}")

    expect(params.get("corpora") in CORPORA, f"corpora: unknown '{params.get('corpora')}', known: {', '.join(CORPORA)}")
    sample = params.get("sample")
    fine = sample is None or isinstance(sample, int) and not isinstance(sample, bool) and sample > 0
    expect(fine, f"sample must be null (everything) or a whole number > 0, is {sample!r}")
    profile = params.get("spaces")
    base = params.get("base") or {}
    expect(profile in base, f"spaces: '{profile}' has no entry under base, which knows {', '.join(base)}")
    seeds = params.get("seeds")
    expect(isinstance(seeds, list) and seeds and all(isinstance(s, int) for s in seeds), f"seeds must be a list of integers, is {seeds!r}")
    leaves = params.get("leaves") or []
    expect(leaves, "leaves: at least one leaf is needed")
    names = [leaf.get("name") for leaf in leaves]
    expect(len(set(names)) == len(names), f"leaves: names repeat: {names}")
    for leaf in leaves:
        name = leaf.get("name", "?")
        expect(leaf.get("modality") in MODALITIES, f"leaf '{name}': modality must be one of {', '.join(MODALITIES)}, is {leaf.get('modality')!r}")
        expect(leaf.get("overlap") in MODALITIES, f"leaf '{name}' needs an overlap (the modality it shares with the base), is {leaf.get('overlap')!r}")
        expect(leaf.get("overlap") != leaf.get("modality"), f"leaf '{name}': overlap and modality are both {leaf.get('modality')!r}")
        expect(profile in leaf, f"leaf '{name}' names no space for spaces: {profile}")
        if profile in leaf:
            expect(leaf[profile] in SPACES, f"leaf '{name}': unknown space '{leaf[profile]}', known: {', '.join(SPACES)}")
    if profile in base:
        expect(base[profile] in SPACES, f"base: unknown space '{base[profile]}', known: {', '.join(SPACES)}")
    encoders = params.get("encoders") or {}
    for space in encoders:
        expect(space in SPACES, f"encoders: unknown space '{space}', known: {', '.join(SPACES)}")
        chosen = encoder_options(params, space)
        expect(isinstance(chosen, dict), f"encoders.{space} must hold options by name, is {chosen!r}")
        if space not in SPACES or not isinstance(chosen, dict) or not chosen:
            continue
        known, choices = options(space), space_class(space).choices
        for option, value in chosen.items():
            expect(option in known, f"encoders.{space}: unknown option '{option}', known: {', '.join(known)}")
            allowed = choices.get(option, (value,))
            expect(value in allowed, f"encoders.{space}.{option} must be one of {', '.join(map(str, allowed))}, is {value!r}")
        size = chosen.get("batch_size", 1)
        expect(isinstance(size, int) and not isinstance(size, bool) and size > 0, f"encoders.{space}.batch_size must be a whole number > 0, is {size!r}")
    listed = params.get("paper") or []
    expect(isinstance(listed, list), f"paper must be a list of corpora, is {listed!r}")
    for place, entry in enumerate(listed if isinstance(listed, list) else ()):
        _check_paper(entry, f"paper.{place}", expect)
    positive("extract", "shard")
    positive("pair", "tau1")
    extra = set((params.get("train") or {}).get("leaves") or {}) - set(names)
    expect(not extra, f"train.leaves names leaves that do not exist: {', '.join(sorted(map(str, extra)))}")
    for leaf in names:
        special = ((params.get("train") or {}).get("leaves") or {}).get(leaf) or {}

        def path(name, leaf=leaf, special=special):
            return f"train.leaves.{leaf}.{name}" if name in special else f"train.{name}"

        _check_training(train_settings(params, leaf), path, expect)
    centres = (params.get("pair") or {}).get("centres")
    expect(isinstance(centres, list) and centres and set(centres) <= set(CENTRES), f"pair.centres must be some of {', '.join(CENTRES)}, is {centres!r}")
    _check_ablation(params.get("ablate") or {}, params.get("train") or {}, expect)
    if wrong:
        raise ConfigError("params.yaml cannot be used:\n" + "\n".join(f"  - {w}" for w in wrong))


def train_settings(params: dict, leaf: str) -> dict:
    """The train block as it holds for one leaf: `train`, with what `train.leaves` says otherwise."""
    block = dict(params.get("train") or {})
    special = (block.pop("leaves", None) or {}).get(leaf) or {}
    return block | special


def _check_paper(entry: dict, path: str, expect) -> None:
    from exmcr.corpora.paper import PAPER_CORPORA

    known = ("corpus", "split", "as", "keep", "most", "folder", "prompts")
    if not isinstance(entry, dict):
        return expect(False, f"{path} must hold {', '.join(known)}, is {entry!r}")
    corpus = entry.get("corpus")
    path = f"{path} ({corpus})"
    expect(corpus in PAPER_CORPORA, f"{path}: unknown corpus '{corpus}', known: {', '.join(PAPER_CORPORA)}")
    expect(isinstance(entry.get("split"), str), f"{path}.split must name a split of the corpus, is {entry.get('split')!r}")
    expect(entry.get("as") in ("train", "val", "test"), f"{path}.as must be train, val or test, is {entry.get('as')!r}")
    expect(entry.get("keep", "text") in MODALITIES, f"{path}.keep must be one of {', '.join(MODALITIES)}, is {entry.get('keep')!r}")
    expect("keep" in entry or entry.get("as") != "train", f"{path}.keep: a training pool is unpaired and keeps one modality")
    most = entry.get("most", 1)
    expect(isinstance(most, int) and not isinstance(most, bool) and most > 0, f"{path}.most must be a whole number > 0, is {most!r}")
    expect(isinstance(entry.get("prompts", False), bool), f"{path}.prompts must be true or false, is {entry.get('prompts')!r}")
    extra = set(entry) - set(known)
    expect(not extra, f"{path}: unknown {', '.join(sorted(map(str, extra)))}, known: {', '.join(known)}")


def _check_training(block: dict, path, expect) -> None:
    def number(value):
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    for name in ("tau2", "lr"):
        expect(number(block.get(name)) and block[name] > 0, f"{path(name)} must be a number > 0, is {block.get(name)!r}")
    for name in ("batch", "steps"):
        value = block.get(name)
        expect(isinstance(value, int) and not isinstance(value, bool) and value > 0, f"{path(name)} must be a whole number > 0, is {value!r}")
    for name in ("lambda", "noise", "weight_decay"):
        expect(number(block.get(name)) and block[name] >= 0, f"{path(name)} must be a number >= 0, is {block.get(name)!r}")
    terms = block.get("terms")
    expect(isinstance(terms, list) and terms and set(terms) <= set(TERMS), f"{path('terms')} must be some of {', '.join(TERMS)}, is {terms!r}")
    for name, least in (("depth_intra", 0), ("depth_inter", 1)):
        value = block.get(name, "linear")
        fine = value == "linear" or isinstance(value, int) and not isinstance(value, bool) and value >= least
        expect(fine, f"{path(name)} must be 'linear' or a whole number >= {least}, is {value!r}")
    expect(isinstance(block.get("overlap_through_fl"), bool), f"{path('overlap_through_fl')} must be true or false, is {block.get('overlap_through_fl')!r}")


def encoder_options(params: dict, space: str) -> dict:
    """What a space is constructed with: its entry under `encoders`, or nothing."""
    return (params.get("encoders") or {}).get(space) or {}


def _check_ablation(block: dict, train: dict, expect) -> None:
    most = block.get("steps")
    fine = most is None or isinstance(most, int) and not isinstance(most, bool) and most > 0
    expect(fine, f"ablate.steps must be null (as many as each leaf's own) or a whole number > 0, is {most!r}")
    for factor, values in block.items():
        if factor == "steps":  # of all runs, so no factor
            continue
        expect(factor in ABLATED, f"ablate: unknown factor '{factor}', known: {', '.join(ABLATED)}; besides them steps")
        expect(isinstance(values, list) and values, f"ablate.{factor} must be a list of values, is {values!r}")
        for value in (values if isinstance(values, list) else []) if factor in ABLATED else []:
            if factor == "centres":
                fine = isinstance(value, list) and value and set(value) <= set(CENTRES)
                expect(fine, f"ablate.centres: each must be some of {', '.join(CENTRES)}, is {value!r}")
            elif factor == "tau1":
                expect(isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0, f"ablate.tau1 must be numbers > 0, is {value!r}")
            else:
                _check_training(train | {factor: value}, lambda name: f"ablate.{name}" if name == factor else f"train.{name}", expect)


def leaf_space(params: dict, leaf: dict) -> str:
    """Registry name of a leaf's space under the chosen profile."""
    return leaf[params["spaces"]]


def base_space(params: dict) -> str:
    """Registry name of the base space under the chosen profile."""
    return params["base"][params["spaces"]]
