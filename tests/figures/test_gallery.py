"""Answers to look at: marks, ranks, players with sound."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from exmcr.common.errors import BadItem
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.evaluation.tasks import Task
from exmcr.figures import gallery
from exmcr.figures.style import RIGHT, WRONG
from exmcr.media.sounds import Sound


@pytest.mark.parametrize(
    "ranks, kinds",
    [
        ([1, 5, 1, 2, 1], {"hit": 2, "median": 4, "miss": 1}),
        ([3, 2, 9], {"hit": 1, "median": 0, "miss": 2}),
        ([1], {"hit": 0, "median": 0, "miss": 0}),
    ],
)
def test_a_hit_the_median_and_a_miss_are_chosen_by_rank(ranks, kinds):
    assert gallery.examples(np.array(ranks)) == kinds


class Bench:
    """One sound and five pictures; the right one is the last but one."""

    def __init__(self):
        queries = pd.DataFrame([("q", "audio", "a bark", "dog")], columns=COLUMNS)
        names = [(f"g{n}", "image", f"picture {n}", "") for n in range(5)]
        items = pd.DataFrame(names, columns=COLUMNS)
        positive = np.array([[False, False, False, True, False]])
        self.task = Task("audio->image", queries, items, positive, np.array([True]))

    def similarity(self, task, maps):
        assert len(task.queries) == 1, "only the chosen query is compared"
        return np.array([[0.9, 0.8, 0.7, 0.2, 0.1]])

    def ranks(self, task, maps):
        return ranks_of_positives(self.similarity(task, maps), task.positive)


COLUMNS = ["id", "modality", "caption", "concept"]


def test_the_answers_have_their_true_ranks_and_the_right_one_is_among_them():
    bench = Bench()
    found = gallery.answered(bench, bench.task, {}, 0, most=5)
    assert found["rank"].tolist() == [1, 2, 3, 4, 5]
    assert found.right.tolist() == [False, False, False, True, False]
    short = gallery.answered(bench, bench.task, {}, 0, most=2)
    assert short["rank"].tolist() == [1, 4], "the first right answer stands at the end"


def test_the_examples_of_a_task_say_where_the_right_answer_is():
    bench = Bench()
    lines, said = gallery.lines_of(bench, bench.task, {}, most=2)
    assert list(lines) == ["hit", "median", "miss"] and lines["miss"][0].caption == "a bark"
    assert said["all"] == (
        "audio->image: the first answer is right for 0% of 1 queries; median rank 4 of 5"
    )
    assert said["miss"] == (
        "miss: “a bark”, first right answer at rank 4 of 5; 0 of 1 queries do better"
    )


def load(row):
    if row.modality == "image":
        return np.full((4, 4, 3), 200, np.uint8)
    return Sound(np.sin(np.arange(4410) / 9).astype(np.float32), 44_100)


def test_a_line_is_the_query_and_its_answers_with_mark_rank_and_score(tmp_path):
    bench = Bench()
    lines, _ = gallery.lines_of(bench, bench.task, {}, most=2)
    figure = gallery.ranked(lines, load, "the finding", tmp_path / "new/a.png")
    titles = [axis.get_title() for axis in figure.axes[:3]]
    assert titles == ["hit\na bark", "✗ picture 0\nrank 1, 0.90", "✓ picture 3\nrank 4, 0.20"]
    assert [axis.title.get_color() for axis in figure.axes[1:3]] == [WRONG, RIGHT]
    assert figure.get_suptitle() == "the finding" and (tmp_path / "new/a.png").is_file()


def test_an_item_without_a_raw_item_is_its_caption():
    def missing(row):
        raise BadItem("file is missing")

    bench = Bench()
    lines, _ = gallery.lines_of(bench, bench.task, {}, most=2)
    figure = gallery.ranked(lines, missing, "title")
    assert figure.axes[1].texts[0].get_text() == "picture 0"
    assert "<audio" not in gallery.players([lines["hit"][0]], missing).data


def test_players_hold_the_sound_at_the_rate_of_a_preview():
    import soundfile

    rows = pd.DataFrame(
        [("a", "audio", "a <bark>", "dog", 3, True), ("b", "image", "dog", "dog", 1, False)],
        columns=[*COLUMNS, "rank", "right"],
    )
    page = gallery.players(rows, load).data
    (data,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == 16_000 and len(samples) == pytest.approx(1600, abs=2)
    assert "✓ a &lt;bark&gt; (rank 3)" in page
    series = gallery.players([rows.drop(columns="rank").iloc[0]], load).data
    assert "a &lt;bark&gt;<br>" in series, "a row without a rank"


def test_the_slider_of_a_mixture_needs_no_kernel():
    rows = pd.DataFrame([("a", "image", "a dog", "dog", 0.5)], columns=[*COLUMNS, "score"])
    steps = {"0%": (rows, "the picture"), "100%": (rows, "the sound")}
    figure = gallery.mixture_slider(steps, load, "share: ")
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["0%", "100%"]
    assert {step.method for step in slider.steps} == {"relayout"}
    assert slider.steps[1].args[0]["title.text"] == "the sound"
    assert slider.steps[1].args[0]["images"][0]["source"].startswith("data:image/png;base64,")


def test_a_video_in_the_slider_is_its_middle_frame():
    from PIL import Image

    frames = np.stack([np.full((6, 8, 3), level, np.uint8) for level in (10, 100, 200)])
    rows = pd.DataFrame([("a", "image", "a dog", "dog", 0.5)], columns=[*COLUMNS, "score"])
    figure = gallery.mixture_slider({"0%": (rows, "title")}, lambda row: frames, "share: ")
    data = figure.layout.images[0].source.removeprefix("data:image/png;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.size == (8, 6) and np.unique(np.asarray(picture)).tolist() == [100]


def test_a_task_is_drawn_and_described_by_its_name(tmp_path, capsys):
    bench = Bench()
    bench.all_tasks = [bench.task]
    bench.project = SimpleNamespace(figures=tmp_path, load_item=load)
    lines = gallery.show_task(bench, "audio->image", {}, "06")
    assert list(lines) == ["hit", "median", "miss"]
    assert (tmp_path / "06_audio_to_image.png").is_file()
    assert "miss: “a bark”, first right answer at rank 4 of 5" in capsys.readouterr().out
    assert gallery.show_task(bench, "audio->smell", {}, "06") == {}
