"""Localization and its compositions where the truth is known: with a perfect encoder, and with random vectors."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from exmcr.common.errors import BadItem, ConfigError
from exmcr.evaluation import compositions, localization
from exmcr.evaluation.localization import GRID, heat, inside, per_scene, windows
from exmcr.experiments import downstream_scenes, downstream_table

COLORS = np.array(
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255), (255, 255, 0)], np.uint8
)


def items(concepts=6, split="test"):
    rows = []
    for c in range(concepts):
        rows += [(f"p{c}{k}", "image", f"thing {c}", split, "") for k in range(2)] + [
            (f"s{c}{k}", "audio", f"thing {c}", split, "") for k in range(3)
        ]
    rows += [
        ("icon", "image", "thing 0", split, "model"),
        ("unnamed", "image", "", split, ""),
        ("seen", "image", "thing 1", "train", ""),
    ]
    return pd.DataFrame(rows, columns=["id", "modality", "concept", "split", "of"])


def load(row):
    """A colored rectangle with a white margin; its color stands for its concept."""
    picture = np.full((90, 70, 3), 255, np.uint8)
    picture[10:80, 5:60] = COLORS[int(row.concept.split()[1])]
    return picture


def sees(images):
    """A perfect encoder: the cosine with the vector of a color is the share of the image that has it, from every third pixel."""
    share = np.array(
        [[(image[::3, ::3] == color).all(axis=2).mean() for color in COLORS] for image in images]
    )
    return np.hstack([share, np.sqrt(1 - np.square(share).sum(axis=1, keepdims=True))])


@pytest.fixture(scope="module")
def scenes():
    return compositions.scenes(items(), load)


@pytest.fixture(scope="module")
def encoded(scenes):
    number = np.array([int(scene.concept.split()[1]) for scene in scenes])
    vectors = np.eye(7)[number]
    return downstream_scenes.encode(scenes, sees, vectors, vectors, number < 3)


def test_a_perfect_encoder_is_right_everywhere_and_another_sound_is_not(encoded):
    rows = pd.DataFrame(downstream_table.rows(encoded, "perfect", 0, encoded.sounds))
    value = rows[rows.concept_subset == "all"].set_index(["task", "sound", "metric"]).value
    assert value["localization", "own", "pointing"] == 1
    assert (
        value["localization", "own", "ciou"] > 0.8 and value["localization", "own", "auc"] > 0.6
    ), "only the windows are coarse"
    assert value["localization", "other", "pointing"] < 0.2
    for task in ("counterfactual canvas", "counterfactual picture"):
        assert value[task, "own", "ap"] == 1 and value[task, "own", "max_f1"] == 1
    best = pd.DataFrame(downstream_table.ceiling(encoded)).query("concept_subset == 'all'")
    best = best.set_index("metric").value
    for metric in localization.METRICS:
        assert value["localization", "own", metric] == pytest.approx(best[metric], abs=0.06), (
            "a perfect encoder reaches the ceiling"
        )
    assert set(rows.concept_subset) == {"all", "seen", "unseen"}
    assert list(rows.columns) == downstream_table.COLUMNS
    assert (rows.low <= rows.value + 1e-9).all() and (rows.value <= rows.high + 1e-9).all()


def test_random_vectors_are_at_chance(encoded):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(10):
        blind = dataclasses.replace(
            encoded,
            regions=rng.standard_normal(encoded.regions.shape),
            cutouts=rng.standard_normal(encoded.cutouts.shape),
        )
        found += downstream_table.rows(blind, "blind", 0, encoded.sounds)
    rows = pd.DataFrame(found)
    mean = (
        rows[(rows.concept_subset == "all") & (rows.sound == "own")]
        .groupby(["task", "metric"])[["value", "chance"]]
        .mean()
    )
    for task, metric in (
        ("localization", "pointing"),
        ("localization", "auc"),
        ("counterfactual canvas", "ap"),
        ("counterfactual picture", "ap"),
    ):
        assert mean.value[task, metric] == pytest.approx(mean.chance[task, metric], abs=0.07), (
            task,
            metric,
        )
    assert mean.chance["localization", "pointing"] < 0.2


def test_scenes_are_of_the_split_and_the_same_every_time(scenes):
    again = compositions.scenes(items().sample(frac=1, random_state=3), load)
    assert (
        {s.sound for s in scenes}
        == {f"s{c}{k}" for c in range(6) for k in range(3)}
        == {s.sound for s in again}
    )
    by_sound = {s.sound: s for s in again}
    for scene in scenes:
        twin = by_sound[scene.sound]
        assert (
            scene.concept == twin.concept
            and len(scene.others) == 3
            and scene.concept not in scene.others
            and len(set(scene.others)) == 3
        )
        ((left, top, right, bottom),) = scene.boxes
        region = localization.crops(scene.image, np.array(scene.boxes))[0]
        assert (region == COLORS[int(scene.concept.split()[1])]).all(), (
            "the box is the object, without its margin"
        )
    same = compositions.scenes(items(), load)
    assert all((a.image == b.image).all() for a, b in zip(scenes, same))
    assert not (scenes[0].image == compositions.scenes(items(), load, seed=1)[0].image).all()


def test_objects_never_overlap():
    rng = np.random.default_rng(0)
    for _ in range(20):
        _, boxes = compositions.compose(
            [np.zeros((h, w, 3), np.uint8) for h, w in rng.integers(10, 300, (9, 2))], rng
        )
        for n, (left, top, right, bottom) in enumerate(boxes):
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
            assert all(
                right <= b[0] or b[2] <= left or bottom <= b[1] or b[3] <= top for b in boxes[:n]
            )


def test_what_cannot_be_composed_is_an_error_and_a_bad_image_is_skipped():
    with pytest.raises(ConfigError, match="no sound"):
        compositions.scenes(items(split="train"), load)
    with pytest.raises(ConfigError, match="concepts"):
        compositions.scenes(items(3), load, objects=4)
    with pytest.raises(ConfigError, match="cells"):
        compositions.compose([np.zeros((4, 4, 3), np.uint8)] * 10, np.random.default_rng(0))

    def broken(row):
        if row.id == "p00":
            raise BadItem("unreadable")
        return np.full((9, 9, 3), 255, np.uint8) if row.id == "p10" else load(row)

    assert len(compositions.scenes(items(), broken)) == 18


def test_mismatched_sounds_fit_nothing_on_the_canvas(scenes):
    partner = compositions.mismatched(scenes, 0)
    for scene, other in zip(scenes, partner):
        assert scenes[other].concept not in (scene.concept, *scene.others)
    assert (partner == compositions.mismatched(scenes, 0)).all() and (
        partner != compositions.mismatched(scenes, 1)
    ).any()
    with pytest.raises(ConfigError, match="every sound fits"):
        compositions.mismatched(scenes[:1])


def test_windows_cover_the_image_and_crops_are_the_regions_of_boxes():
    boxes = windows()
    assert boxes.shape == (81 + 36, 4) and inside(boxes).any(axis=0).all()
    image = np.zeros((50, 100, 3), np.uint8)
    image[25:, 50:] = 9
    (crop,) = localization.crops(image, np.array([(0.5, 0.5, 1, 1)]))
    assert crop.shape == (25, 50, 3) and (crop == 9).all()
    assert localization.crops(image, np.array([(0.5, 0.5, 0.501, 0.501)]))[0].shape == (1, 1, 3), (
        "never empty"
    )


def test_heat_is_the_weighted_mean_of_the_windows_around_a_place():
    boxes, scores = windows((0.5, 1.0)), np.random.default_rng(0).standard_normal((2, 10))
    found = heat(scores, boxes)
    assert found.shape == (2, GRID, GRID)
    row, column = 51, 19
    total = weights = 0.0
    for (left, top, right, bottom), score in zip(boxes, scores[1]):
        away = ((column + 0.5) / GRID - (left + right) / 2) ** 2 + (
            (row + 0.5) / GRID - (top + bottom) / 2
        ) ** 2
        weight = np.exp(-away / (2 * (localization.NEAR * (right - left)) ** 2))
        total, weights = total + weight * score, weights + weight
    assert found[1, row, column] == pytest.approx(total / weights)
    assert heat(np.ones((1, 10)), boxes) == pytest.approx(np.ones((1, GRID, GRID)))


def test_share_inside_is_an_area():
    regions = np.array([(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1), (0.25, 0, 0.75, 0.5)])
    assert localization.share_inside(regions, [(0, 0, 0.5, 1)]).tolist() == [1, 0, 0.5]
    assert localization.share_inside(
        regions, [(0, 0, 0.5, 1), (0.5, 0.5, 0.75, 0.75)]
    ).tolist() == [1, 0.25, 0.5]


def test_metrics_on_maps_whose_answer_is_known():
    box = (0.25, 0.5, 0.75, 1.0)
    right = inside([box])[0].astype(float)
    half = inside([(0.25, 0.5, 0.5, 1.0)])[0].astype(float)
    wrong = inside([(0, 0, 0.25, 0.25)])[0].astype(float)
    flat = np.ones((GRID, GRID))
    found = per_scene(np.stack([right, half, wrong, flat]), [[box]] * 4)
    assert found["pointing"].tolist() == [1, 1, 0, 0.25], "in a flat map every place is hottest"
    assert found["ciou"].tolist() == [1, 1, 0, 0]
    overlap = [localization.consensus_iou(h, [box]) for h in (right, half, wrong, flat)]
    assert overlap == [1, 0.5, 0, 0.25]
    # The area under success >= t: all of it, up to 0.5, the corner at 0 only, up to 0.25.
    assert found["auc"] == pytest.approx([1, 0.525, 0.025, 0.275])
    both = per_scene(half[None] + wrong[None], [[(0.25, 0.5, 0.5, 1.0), (0, 0, 0.25, 0.25)]])
    assert both["ciou"] == 1 and both["pointing"] == 1, "several boxes count as one region"


def test_the_cut_is_at_half_between_least_and_greatest():
    ramp = np.tile(np.linspace(-3, 5, GRID), (GRID, 1))
    assert localization.consensus_iou(ramp, [(0.5, 0, 1, 1)]) == 1
    assert localization.consensus_iou(10 * ramp + 7, [(0.5, 0, 1, 1)]) == 1


def test_frames_of_vggss_are_scenes_too(tmp_path):
    """A clip of each color, in the layout of the download: the loudness of its tone stands for the color."""
    import json

    import soundfile
    from PIL import Image

    class Space:
        def encode(self, modality, items):
            if modality == "image":
                return sees(items)
            return np.eye(7)[
                [
                    int(i) if modality == "text" else round(float(np.abs(i.samples).max()) * 10) - 1
                    for i in items
                ]
            ]

    notes = []
    for n in range(4):
        frame = np.full((60, 80, 3), 255, np.uint8)
        frame[20:40, 40:60] = COLORS[n]
        for folder in ("frames", "audio"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(frame).save(tmp_path / f"frames/clip_{n}.png")
        soundfile.write(tmp_path / f"audio/clip_{n}.wav", np.full(1600, (n + 1) / 10), 16000)
        notes.append({"file": f"clip_{n}", "class": str(n), "bbox": [[0.5, 1 / 3, 0.75, 2 / 3]]})
    (tmp_path / "frames/clip_3.png").write_bytes(b"damaged")
    (tmp_path / "vggss.json").write_text(json.dumps(notes))
    encoded = downstream_scenes.of_vggss(tmp_path, Space(), Space())
    assert [scene.concept for scene in encoded.scenes] == ["0", "1", "2"], (
        "a damaged frame is skipped"
    )
    rows = (
        pd.DataFrame(downstream_table.rows(encoded, "perfect", 0, encoded.sounds))
        .query("sound == 'own'")
        .set_index(["task", "metric"])
        .value
    )
    assert rows["localization", "pointing"] == 1 and rows["counterfactual canvas", "ap"] == 1


def test_no_readable_scene_is_one_line():

    rows = [(f"{m}/{n}", m, f"thing {n}", "test", "") for m in ("image", "audio") for n in range(5)]
    items = pd.DataFrame(rows, columns=["id", "modality", "concept", "split", "of"])

    def damaged(row):
        raise BadItem("damaged")

    with pytest.raises(ConfigError, match="no scene can be composed on split 'test': too few"):
        compositions.scenes(items, damaged)
    with pytest.raises(ConfigError, match="no scene to localize sounds in"):
        localization.encode_regions([], lambda images: np.zeros((len(images), 4)))
