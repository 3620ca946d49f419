"""The entries of the comparison: whose settings are whose, and wrong ones are told."""

from pathlib import Path

import pytest

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.methods.registry import METHODS, after_of, check_settings, own_settings, settings_of


@pytest.fixture
def params():
    return config.load(Path(__file__).parents[1].parent / "params.yaml")


def test_own_settings_come_on_top_of_those_of_the_leaf(params):
    params["compare"] = {"exmcr-symile": {"weight": 0.3}, "cmcr": {"settings": {"steps": 5}}}
    audio, points = (settings_of(params, "exmcr-symile", leaf) for leaf in ("audio", "points"))
    assert audio["weight"] == points["weight"] == 0.3
    assert audio["train"]["tau2"] == 0.1 and points["train"]["tau2"] == 0.05, (
        "each leaf its own, as in params.yaml"
    )
    assert settings_of(params, "cmcr", "audio") == {"form": "clap-clip", "settings": {"steps": 5}}
    assert settings_of(params, "cmcr", "points") == {"form": "ulip-clip", "settings": {"steps": 5}}


def test_without_a_block_there_are_no_own_settings(params):
    params["compare"] = None  # as a block that is there but empty is read
    assert own_settings(params, "hop") == settings_of(params, "hop", "audio") == {}
    check_settings(params)


@pytest.mark.parametrize(
    "block, message",
    [
        ({"nonsense": {}}, "compare.nonsense is no method"),
        ({"ridge": {"beta": 1}}, "compare.ridge: unknown settings beta; known: alpha"),
        (
            {"cmcr": {"form": "clap-clip"}},
            "compare.cmcr: unknown settings form; known: settings",
        ),  # goes by the leaf
        ({"exmcr-cwcl": {"weight": 1}}, "compare.exmcr-cwcl: unknown settings weight; known: tau2"),
        (
            {"hop+invgc": {"tau": 1}},
            "compare.hop.invgc: unknown settings tau; known: rate_gallery, rate_query",
        ),  # is a setting of hop
    ],
)
def test_wrong_settings_are_told(params, block, message):
    params["compare"] = block
    with pytest.raises(ConfigError, match=message):
        check_settings(params)


def test_the_settings_of_the_project_itself_are_right(params):
    check_settings(params)


def test_an_unknown_method_is_told(params):
    for asked in (
        lambda: settings_of(params, "telepathy", "audio"),
        lambda: after_of(params, "telepathy"),
    ):
        with pytest.raises(ConfigError, match="unknown method 'telepathy'"):
            asked()


def test_every_method_has_a_source_or_is_a_plain_baseline_and_at_least_fifteen_stand_side_by_side():
    assert len(METHODS) >= 15
    assert {name for name, m in METHODS.items() if not m.paper} <= {"direct", "lstsq", "hop"}
