"""The entries of the comparison: which settings belong to which method, and errors for wrong ones."""

from pathlib import Path

import numpy as np
import pytest
from synthetic import world

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.methods import exmcr, postprocessing
from exmcr.methods.registry import (
    METHODS,
    after_of,
    check_settings,
    method_named,
    seeds_of,
    settings_of,
    wrong_settings,
)


@pytest.fixture(scope="module")
def full():
    """The content of the params.yaml of this repository."""
    return config.read(project_root(Path(__file__).parent) / "params.yaml")


@pytest.fixture
def params(full):
    return config.check(full)


def with_compare(full, block):
    return config.check(full | {"compare": block})


def test_settings_under_compare_take_precedence_over_those_of_the_leaf(full):
    block = {"exmcr-symile": {"weight": 0.3}, "cmcr": {"settings": {"steps": 5}}}
    full = full | {"train": full["train"] | {"leaves": {"points": {"steps": 200}}}}
    params = with_compare(full, block)
    audio, points = (settings_of(params, "exmcr-symile", leaf) for leaf in ("audio", "points"))
    assert audio["weight"] == points["weight"] == 0.3
    assert audio["train"]["steps"] == 150 and points["train"]["steps"] == 200, (
        "each leaf has its own"
    )
    assert audio["pair"] == {
        "tau1": 0.02,
        "centers": ["overlap", "leaf", "base"],
        "normalize_between": True,
        "subtract_mean": False,
    }
    assert settings_of(params, "cmcr", "audio") == {"form": "clap-clip", "settings": {"steps": 5}}
    assert settings_of(params, "cmcr", "points") == {"form": "ulip-clip", "settings": {"steps": 5}}


def test_a_post_processor_has_the_fit_of_its_method_and_settings_of_its_own(full):
    params = with_compare(full, {"hop": {"tau": 0.3}, "hop+mean-shift": {"share": 0.25}})
    assert settings_of(params, "hop+mean-shift", "audio") == {"tau": 0.3}
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(n, 4)) for n in (5, 6, 7, 8)]
    expected = postprocessing.mean_shift(*vectors, share=0.25)
    assert np.array_equal(after_of(params, "hop+mean-shift")(*vectors), expected)
    assert after_of(params, "hop") is None


@pytest.mark.parametrize("empty", [None, {}, {"hop": None}])
def test_without_a_block_there_are_no_settings(full, empty):
    params = with_compare(full, empty)  # a block that is there but empty is read as None
    assert params.method_settings("hop") == settings_of(params, "hop", "audio") == {}
    check_settings(params)


@pytest.mark.parametrize(
    "block, message",
    [
        ({"nonsense": {}}, "compare.nonsense: unknown method; known: direct, lstsq, "),
        ({"ridge": {"beta": 1}}, "compare.ridge.beta: unknown setting; known: alpha"),
        (
            {"cmcr": {"form": "clap-clip"}},
            "compare.cmcr.form: unknown setting; known: settings",
        ),  # depends on the leaf
        (
            {"exmcr-cwcl": {"weight": 1}},
            "compare.exmcr-cwcl.weight: unknown setting; known: steps, tau2",
        ),
        (
            {"hop+invgc": {"tau": 1}},
            r"compare.hop\+invgc.tau: unknown setting; known: rate_gallery, rate_query",
        ),  # a setting of hop
    ],
)
def test_wrong_settings_are_errors_that_list_the_known_ones(full, block, message):
    params = with_compare(full, block)
    with pytest.raises(ConfigError, match=message):
        check_settings(params)
    with pytest.raises(ConfigError, match=message):
        config.check_names(params)


def test_all_wrong_settings_are_reported_at_once(full):
    params = with_compare(full, {"ridge": {"a": 1, "b": 2}, "nonsense": {}, "hop": {"tau": 1}})
    paths = sorted(line.split(": ")[0] for line in wrong_settings(params))
    assert paths == ["compare.nonsense", "compare.ridge.a", "compare.ridge.b"]


def test_the_settings_of_the_project_itself_are_right(params):
    assert wrong_settings(params) == []
    check_settings(params)


def test_methods_that_check_their_settings_themselves_accept_any_name_here(full):
    params = with_compare(full, {"xbt": {"stepz": 3}})
    assert wrong_settings(params) == []
    with pytest.raises(ConfigError, match="unknown settings of a trained method: stepz"):
        METHODS["xbt"].fit(world(n=20).pools, 0, **settings_of(params, "xbt", "audio"))


def test_an_unknown_method_is_an_error_that_lists_the_known_ones(params):
    for call in (
        lambda: settings_of(params, "telepathy", "audio"),
        lambda: after_of(params, "telepathy"),
        lambda: seeds_of(params, "telepathy"),
        lambda: method_named("telepathy"),
    ):
        with pytest.raises(ConfigError, match="unknown method 'telepathy'; known: direct, lstsq"):
            call()


def test_a_method_that_no_seed_changes_has_the_seed_0_alone(full):
    params = config.check(full | {"seeds": [3, 7]})
    assert {name: seeds_of(params, name) for name in ("hop", "exmcr", "hop+invgc")} == {
        "hop": [0],
        "exmcr": [3, 7],
        "hop+invgc": [0],
    }


def test_every_method_has_a_source_or_is_a_plain_baseline_and_there_are_at_least_fifteen():
    assert len(METHODS) >= 15
    assert {name for name, m in METHODS.items() if not m.paper} <= {"direct", "lstsq", "hop"}


def test_every_loss_but_that_of_the_paper_is_a_method():
    from exmcr.training.losses import LOSSES

    for name, loss in LOSSES.items():
        if name != "exmcr":
            method = METHODS[f"exmcr-{name}"]
            assert method.paper == loss.paper and method.fit.keywords["loss"] is loss.function


def test_a_weight_for_a_loss_without_one_is_an_error(params):
    """Also for the loss that params.yaml names."""
    settings = settings_of(params, "exmcr", "audio")
    with pytest.raises(ConfigError, match="exmcr_loss has no weight to set"):
        exmcr.fit(world(n=20).pools, 0, **settings, weight=0.5)
