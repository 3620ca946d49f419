"""The root of a project is the folder with params.yaml, at or above the start."""

import pytest

from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root


def test_the_nearest_folder_with_params_is_the_root(tmp_path, monkeypatch):
    inner = tmp_path / "a/b"
    (inner / "c").mkdir(parents=True)
    (tmp_path / "params.yaml").touch()
    assert project_root(inner / "c") == project_root(tmp_path) == tmp_path.resolve()
    (inner / "params.yaml").touch()
    assert project_root(inner / "c") == inner.resolve()
    monkeypatch.chdir(inner / "c")
    assert project_root() == inner.resolve()


def test_a_folder_named_params_is_no_project(tmp_path):
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(ConfigError, match="no params.yaml in .* or above it"):
        project_root(tmp_path)
