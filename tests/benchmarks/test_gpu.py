"""The benchmark of a GPU, run dry: every section, its record, and its errors."""

import gpu
import gpu_encoders
import gpu_setup
import gpu_train
import pytest
import record
import torch
from gpu_setup import Setup

CPU = ["--device", "cpu"]
DRY = [name for name in gpu.SECTIONS if name not in gpu.ENCODERS]


def sections_of(folder):
    return record._sections((folder / "RESULTS.md").read_text())


def test_the_dry_run_completes_every_section_and_records_it_where_told(tmp_path, capsys):
    assert gpu.main([*CPU, "--scale", "0.0002", "--out", str(tmp_path), "--code", "abc"]) == 0
    printed = capsys.readouterr().out
    assert f"{len(DRY)} of {len(DRY)} sections complete" in printed
    assert "numbers mean nothing" in printed
    sections = sections_of(tmp_path)
    assert list(sections) == [f"gpu {name}" for name in DRY]
    assert all("commit abc" in text and torch.__version__ in text for text in sections.values())
    rows = record._rows(tmp_path / "results.csv")
    assert {row["claim"].split(": ")[0] for row in rows} == set(sections)
    assert all(row["value"] not in ("nan", "inf", "") for row in rows)


def test_a_dry_run_writes_no_record_unless_told(monkeypatch):
    monkeypatch.setattr(record, "write", lambda *_: pytest.fail("a record was written"))
    assert gpu.main([*CPU, "--only", "search"]) == 0


def broken(setup):
    """A section that fails in its middle."""
    yield gpu_encoders.row("before", 1.0, "s")
    raise RuntimeError("CUDA error: an illegal memory access")


def fine(setup):
    """Another section."""
    yield gpu_encoders.row("after", 2.0, "s")


def test_an_error_is_recorded_in_full_and_the_other_sections_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "SECTIONS", {"broken": broken, "fine": fine})
    assert gpu.main([*CPU, "--out", str(tmp_path)]) == 1
    assert "1 of 2 sections complete" in capsys.readouterr().out
    sections = sections_of(tmp_path)
    assert "gpu broken: before" in sections["gpu broken"]
    assert (
        "Traceback" in sections["gpu broken"] and "illegal memory access" in sections["gpu broken"]
    )
    assert "gpu fine: after" in sections["gpu fine"] and "Traceback" not in sections["gpu fine"]


def test_no_section_starts_when_the_time_is_spent(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "SECTIONS", {"broken": broken, "fine": fine})
    assert gpu.main([*CPU, "--budget", "-1"]) == 2
    assert "FAILED fine: not run" in capsys.readouterr().out


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(7, 5)

    def encode_image(self, pixels):
        return self.linear(pixels.mean(dim=(1, 2))[:, :7])

    def encode_text(self, tokens):
        return self.linear(tokens[:, :7].float() / 5e4)


def test_encoders_are_measured_in_every_mode_and_held_against_the_cpu():
    setup = Setup(torch.device("cpu"), 1.0)
    rows = list(gpu_encoders.measured(setup, Network(), gpu_encoders.dual_towers()))
    assert [row["claim"].split(",")[0] for row in rows] == ["image"] * 4 + ["text"] * 4
    differences = [float(row["value"]) for row in rows if "relative difference" in row["claim"]]
    assert differences[0] == differences[2] == 0
    assert all(0 < value < 0.02 for value in (differences[1], differences[3]))


def test_an_encoder_whose_library_is_missing_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    (row,) = gpu_encoders.clip(Setup(torch.device("cpu"), 1.0))
    assert row["value"] == "skipped" and "open_clip" in row["claim"]


def test_a_record_of_another_machine_is_taken_over(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    one = {"claim": "a b: x, y", "value": "1", "unit": "s", "baseline": "", "ratio": ""}
    record.write("a b", [one], "old.", here)
    record.write("c", [one | {"claim": "c: kept"}], "Kept.\n\n![figure](growth.png)", here)
    record.write("a b", [one | {"value": "2"}], "new.", there)
    record.write("gpu d", [one | {"claim": "gpu d: z"}], "added.", there)
    assert record.merge(there, here) == ["a b", "gpu d"]
    sections = sections_of(here)
    assert list(sections) == ["a b", "c", "gpu d"]
    assert "new." in sections["a b"] and "old." not in sections["a b"]
    assert "![figure](growth.png)" in sections["c"]
    rows = record._rows(here / "results.csv")
    assert sorted((row["claim"], row["value"]) for row in rows) == [
        ("a b: x, y", "2"),
        ("c: kept", "1"),
        ("gpu d: z", "1"),
    ]
    page = (here / "RESULTS.md").read_text()
    assert page.startswith("# Benchmarks") and page.endswith("\n") and "\n\n\n" not in page


def test_a_variant_of_training_that_fails_does_not_cost_the_others(monkeypatch):
    def fail(device, projector, pool, settings):
        raise RuntimeError("operation not permitted when stream is capturing")

    broken = gpu_train.variants() | {"graph": (fail, [], False)}
    monkeypatch.setattr(gpu_train, "variants", lambda: broken)
    rows, error = gpu._run(gpu_train.train, Setup(torch.device("cpu"), 1e-4))
    claims = [row["claim"] for row in rows]
    assert not any("graph against eager" in claim for claim in claims)
    assert any("two-stream feed against in-line feed" in claim for claim in claims)
    assert "stream is capturing" in error and "in the variant 'graph', batch 32" in error


def test_the_errors_of_all_parts_are_raised_at_the_end():
    parts = gpu_setup.each(broken(None), fine(None), broken(None))
    rows = []
    with pytest.raises(ExceptionGroup) as error:
        for row in parts:
            rows.append(row["value"])
    assert rows == ["1", "2", "1"] and len(error.value.exceptions) == 2
