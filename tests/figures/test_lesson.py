"""Checked answers, heat maps and sliders of the notebooks."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from exmcr.figures import lesson
from exmcr.figures.style import store


@pytest.mark.parametrize(
    ("answer", "right", "mark"),
    [
        (None, 1, "○"),
        (2, 2, "✓"),
        (2.04, 2, "✓"),
        (2.06, 2, "✗"),
        ("2", 2, "✓"),
        ("two", 2, "✗"),
        ("Leaf ", "leaf", "✓"),
        ("base", "leaf", "✗"),
        (True, True, "✓"),
        (1, True, "✗"),
        (["b", "a"], {"a", "b"}, "✓"),
        ("ab", {"ab"}, "✗"),
        (7, {7}, "✗"),
        (torch.ones(2, 2), np.ones((2, 2)), "✓"),
        (torch.ones(2), np.ones((2, 2)), "✗"),
        ([1, 1.2], np.ones(2), "✗"),
        (torch.tensor(3.0), 3, "✓"),
        (3, lambda answer: answer > 2, "✓"),
        ("x", lambda answer: answer > 2, "✗"),
        (("f_l", "f_m"), lambda answer: tuple(answer) == ("f_l", "f_m"), "✓"),
    ],
)
def test_an_answer_is_open_right_or_wrong_and_never_raises(answer, right, mark, capsys):
    lesson.check(answer, right, "the hint", "the reason", within=0.05)
    text = capsys.readouterr().out
    assert text.startswith(mark) and text.count("\n") == 1
    assert ("the hint" in text) == (mark == "✗") and ("the reason" in text) == (mark == "✓")


def project(corpora):
    return SimpleNamespace(root="/p", params=SimpleNamespace(corpora=corpora, spaces="mini"))


def test_the_cost_of_a_notebook_is_printed_for_the_toy_project_only(capsys):
    for name in lesson.COST:
        lesson.header(name, project("toy"))
        assert f"about {lesson.COST[name][0]:.0f} CPU seconds" in capsys.readouterr().out
    lesson.header("02_pair", project("mini"))
    text = capsys.readouterr().out
    assert "corpora: mini" in text and "CPU" not in text
    lesson.footer()
    assert "CPU seconds and" in capsys.readouterr().out


def test_a_heat_map_holds_every_number_and_marks_the_greatest_of_a_row():
    values = torch.tensor([[0.1, 0.9, 0.5], [0.7, 0.2, 0.3]])
    figure = lesson.heat(values, ["a", "b"], ["x", "y", "z"], "title")
    texts = figure.axes[0].texts
    assert [text.get_text() for text in texts] == [f"{v:.2f}" for v in values.flatten().tolist()]
    assert [text.get_text() for text in texts if text.get_fontweight() == "bold"] == [
        "0.90",
        "0.70",
    ]
    plain = lesson.heat(values, ["a", "b"], ["x", "y", "z"], "title", bold=False, form=".0f")
    assert {text.get_fontweight() for text in plain.axes[0].texts} == {"normal"}
    _, axis = plt.subplots()
    assert lesson.heat(values, "ab", "xyz", "title", axis=axis) is axis.figure


def test_a_slider_has_a_frame_per_label_and_starts_where_it_is_told():
    from plotly import graph_objects as go

    frames = {str(n): ([go.Scatter(x=[0], y=[n])], f"title {n}") for n in range(3)}
    figure = lesson.slider(frames, "τ = ", 1, height=300)
    assert [frame.name for frame in figure.frames] == ["0", "1", "2"]
    assert [frame.layout.title.text for frame in figure.frames] == [f"title {n}" for n in range(3)]
    assert figure.data[0].y == (1,) and figure.layout.title.text == "title 1"
    slider = figure.layout.sliders[0]
    assert slider.active == 1 and [step.label for step in slider.steps] == ["0", "1", "2"]
    assert figure.layout.height == 300


def test_the_layout_of_a_figure_is_computed_once_when_it_is_written(tmp_path):
    figure, axis = plt.subplots(constrained_layout=True)
    axis.set_title("two\nlines")
    before = axis.get_position().y1
    assert store(figure, None).get_layout_engine().__class__.__name__ == "ConstrainedLayoutEngine"
    store(figure, tmp_path / "new/a.png")
    assert (tmp_path / "new/a.png").is_file() and axis.get_position().y1 != before
    after = axis.get_position().y1
    axis.set_title("a\nmuch\nlonger\ntitle")
    figure.draw_without_rendering()
    assert axis.get_position().y1 == after
