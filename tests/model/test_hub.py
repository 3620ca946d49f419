"""Models come from the hub and go to it: only JSON and safetensors, a card, and errors of one line."""

import json
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import stub_model
import synthetic
from stored import store

from exmcr.common.errors import ConfigError
from exmcr.model import hub
from exmcr.model.exmcr import ExMCR
from exmcr.model.identity import fingerprint

huggingface_hub = pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")


class FakeApi:
    """Repositories in a folder: what HfApi does with them, without a network."""

    def __init__(self, place):
        self.place, self.created = place, []

    def create_repo(self, name, private=None, exist_ok=False):
        assert exist_ok
        self.created.append((name, private))

    def upload_folder(self, repo_id, folder_path, allow_patterns, **_):
        for path in huggingface_hub.utils.filter_repo_objects(
            [p.relative_to(folder_path).as_posix() for p in folder_path.rglob("*") if p.is_file()],
            allow_patterns=allow_patterns,
        ):
            target = self.place / repo_id / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((folder_path / path).read_bytes())
        return SimpleNamespace(commit_url=f"hub/{repo_id}/commit/1")

    def snapshot_download(self, name, allow_patterns, **_):
        assert all(p.endswith((".json", ".safetensors")) for p in allow_patterns)
        if not (self.place / name).is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no such\n repository")
        return str(self.place / name)


@pytest.fixture
def api(tmp_path, monkeypatch):
    fake = FakeApi(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    monkeypatch.chdir(tmp_path)
    stub_model.use(monkeypatch)
    return fake


def test_a_model_that_was_pushed_is_the_model_that_comes_back(api):
    model = stub_model.stub_model()
    assert model.push_to_hub("me/mine", private=True, api=api) == "hub/me/mine/commit/1"
    assert api.created == [("me/mine", True)]
    again = ExMCR.from_pretrained("me/mine", device="cpu")
    assert fingerprint(again) == fingerprint(model) and fingerprint(again, 5) == fingerprint(
        model, 5
    )
    np.testing.assert_array_equal(again.encode(["a dog"]), model.encode(["a dog"]))
    files = {path.suffix for path in (api.place / "me/mine").rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors", ".md"}


def test_the_weights_of_mini_spaces_travel_along(api, tmp_path):
    weights = tmp_path / "run/models/spaces"
    weights.mkdir(parents=True)
    for name in ("base.safetensors", "base.json"):
        (weights / name).write_text("{}")
    model = stub_model.stub_model()
    model.settings = {"base": {"root": tmp_path / "run"}}
    model.push_to_hub("me/mine", api=api)
    assert (api.place / "me/mine/models/spaces/base.safetensors").read_text() == "{}"
    assert ExMCR.from_pretrained("me/mine").settings["base"]["root"] == api.place / "me/mine"


def test_a_folder_is_read_without_the_hub(tmp_path, monkeypatch):
    stub_model.stub_model().save(tmp_path / "user/mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "_package", lambda: pytest.fail("the hub was asked"))
    for name in ("user/mine", tmp_path / "user/mine"):
        assert ExMCR.from_pretrained(name, device="cpu").modalities == (
            "text",
            "image",
            "audio",
            "points",
        )


def broken(place, change):
    stub_model.stub_model().save(place)
    content = json.loads((place / "exmcr.json").read_text())
    change(place, content)


REPOSITORIES = {
    "not ours": (lambda f, c: (f / "exmcr.json").unlink(), "holds no exmcr.json"),
    "another format": (
        lambda f, c: (f / "exmcr.json").write_text(json.dumps(c | {"format": "exmcr 9"})),
        "is of format 'exmcr 9', this version reads 'exmcr 1'",
    ),
    "no weights": (lambda f, c: (f / "exmcr.safetensors").unlink(), "exmcr.safetensors"),
    "other weights": (
        lambda f, c: (f / "exmcr.safetensors").write_bytes(b"pickle"),
        "exmcr.safetensors",
    ),
    "damaged": (lambda f, c: (f / "exmcr.json").write_text("{"), "is damaged"),
}


@pytest.mark.parametrize(("change", "says"), REPOSITORIES.values(), ids=REPOSITORIES)
def test_a_repository_that_holds_no_model_is_one_line(api, change, says):
    broken(api.place / "some/one", change)
    with pytest.raises(ConfigError, match=says) as caught:
        ExMCR.from_pretrained("some/one")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "some/thing",
            "no folder some/thing, and no model of this name from the hub: no such repository",
        ),
        ("gone", "there is no folder gone, and it is not user/name"),
        ("a/b/c", "there is no folder a/b/c"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(api, name, says):
    with pytest.raises(ConfigError, match=says):
        ExMCR.from_pretrained(name)


@pytest.mark.parametrize("error", [httpx.ConnectError("no\nroute"), OSError("refused"), "name"])
def test_a_hub_that_refuses_is_one_line(api, monkeypatch, error):
    def fail(*_, **__):
        if error == "name":
            huggingface_hub.utils.validate_repo_id("--no--")
        raise error

    monkeypatch.setattr(api, "create_repo", fail)
    with pytest.raises(ConfigError, match="cannot upload to me/mine: ") as caught:
        stub_model.stub_model().push_to_hub("me/mine", api=api)
    assert "\n" not in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match="extra `hub`"):
        ExMCR.from_pretrained("some/thing")


def card_of(api, model, **more):
    model.push_to_hub("me/mine", api=api, **more)
    return (api.place / "me/mine/README.md").read_text()


def test_the_card_says_what_the_model_consists_of(api):
    card = card_of(api, stub_model.stub_model())
    head = card.split("---\n")[1]
    assert "library_name: exmcr" in head and card.startswith("---\n")
    assert "| base | `base` | 16 |  | `of base` |" in card
    assert "| audio, by text | `ears` | 8 | 3, 5 | `of ears` |" in card
    assert 'ExMCR.from_pretrained("me/mine")' in card and "## Results" not in card


def test_the_card_of_a_run_has_pools_results_with_chance_and_licenses(api, tmp_path):
    project = synthetic.project(tmp_path, concepts=5)
    for leaf in project.leaves:
        for seed in (0, 1):
            store(project, leaf, seed, (16, 16, 8), ("synthetic", "synthetic"))
    project.reports.mkdir(exist_ok=True)
    keys = "task,concept_subset,method,seed,n_queries,n_gallery,chance_r1,r1,r1_low,r1_high"
    keys += ",chance_map,map,map_low,map_high"
    row = "audio->image,all,exmcr,0,10,20,0.05,0.5,0.4,0.6,0.1,0.6,0.5,0.7"
    (project.reports / "results.csv").write_text(f"{keys}\n{row}\n")
    model = ExMCR.from_project(project, device="cpu")
    project.items["license"] = ["CC0-1.0"] * 100 + [
        f"license {n}" for n in range(len(project.items) - 100)
    ]
    card = card_of(api, model, project=project)
    assert "| audio->image | 10 x 20 | 5.0 / 10.0 | 50.0 / 60.0 |" in card
    assert "## Unpaired pools" in card and "| audio | `mini-audio-text` | audio |" in card
    assert "| CC0-1.0 | 100 |" in card and "others |" in card


def test_the_card_of_public_encoders_has_their_licenses():
    from exmcr.model.card import model_card
    from exmcr.model.parts import Base

    card = model_card(Base("clip", "", 512, ("image", "text")), [])
    assert "## Licenses of the encoders" in card and "not recorded" in card
