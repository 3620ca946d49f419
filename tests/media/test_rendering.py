"""Pictures of point clouds: they show the cloud, and are the same every time."""

import numpy as np

from exmcr.media.rendering import AZIMUTHS, SIDE, normals, render


def sphere(n=2000, seed=0):
    v = np.random.default_rng(seed).normal(size=(n, 3))
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


def box(width, height, depth, n=4000):
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (n, 3))
    points[np.arange(n), rng.integers(3, size=n)] = rng.choice([-1, 1], n)
    return (points * [width, height, depth]).astype(np.float32)


def extent(picture):
    """Width and height, in pixels, of what is not white."""
    rows, columns = np.nonzero((picture < 255).any(axis=2))
    return np.ptp(columns), np.ptp(rows)


def test_there_is_one_picture_per_azimuth_and_none_is_blank():
    pictures = render(box(1, 0.5, 0.3))
    assert len(pictures) == len(AZIMUTHS) == 2
    for picture in pictures:
        assert picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.uint8
        assert 0.05 < (picture < 255).all(axis=2).mean() < 0.9
        assert picture[0].min() == picture[-1].min() == 255, "a white margin"
    assert not np.array_equal(pictures[0], pictures[1])


def test_pictures_are_the_same_every_time():
    cloud = box(1, 0.5, 0.3)
    assert all(
        np.array_equal(a, b) for a, b in zip(render(cloud), render(cloud.copy()), strict=True)
    )


def test_position_and_size_of_the_cloud_do_not_matter():
    cloud = sphere().astype(np.float64)
    for a, b in zip(render(cloud), render(cloud * 8 + [32, -16, 4]), strict=True):
        assert (np.abs(a.astype(int) - b).max(axis=2) > 8).mean() < 0.01


def test_the_upright_axis_is_y():
    for picture in render(box(0.2, 1, 0.2)):
        width, height = extent(picture)
        assert height > 2 * width
    for picture in render(box(1, 0.2, 1)):
        width, height = extent(picture)
        assert width > 1.5 * height


def test_a_sphere_is_round_whole_and_lit_from_above():
    for picture in render(sphere(10_000)):
        width, height = extent(picture)
        assert abs(width - height) < 8
        middle = picture[SIDE // 2 - 40 : SIDE // 2 + 40, SIDE // 2 - 40 : SIDE // 2 + 40]
        assert (middle < 255).mean() > 0.99, "almost no holes"
        assert np.median(picture[40:60, 100:124]) > np.median(picture[-60:-40, 100:124]) + 50


def test_normals_of_a_sphere_point_outwards_or_inwards():
    points = sphere()
    estimated = normals(points)
    assert np.allclose(np.linalg.norm(estimated, axis=1), 1, atol=1e-5)
    assert np.median(np.abs((estimated * points).sum(axis=1))) > 0.99
