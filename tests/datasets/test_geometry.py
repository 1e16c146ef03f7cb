"""Points, classes and depth move with the pixels, under any affine map."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.conventions import CLASS_FLIP, CLASS_ID, LANDMARK_FLIP, N_CLASSES
from synthforge.datasets import geometry

MAPS = st.builds(
    lambda scale, rotation, dx, dy, shear, mirror: geometry.crop_matrix(
        (30.0, 25.0, 70.0, 75.0), 128, scale, rotation, (dx, dy), shear, mirror
    ),
    st.floats(1.0, 2.2),
    st.floats(-0.5, 0.5),
    st.floats(-0.08, 0.08),
    st.floats(-0.08, 0.08),
    st.floats(-0.1, 0.1),
    st.booleans(),
)


def gaussian(points: np.ndarray, size: int, sigma: float) -> np.ndarray:
    """One blob per point, drawn in continuous pixels: p h w."""
    centre = np.arange(size) + 0.5
    x = np.exp(-(((centre - points[:, :1]) / sigma) ** 2) / 2)
    y = np.exp(-(((centre - points[:, 1:]) / sigma) ** 2) / 2)
    return (y[:, :, None] * x[:, None]).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(MAPS, st.tuples(st.floats(40, 60), st.floats(40, 60)))
def test_a_painted_dot_is_found_where_its_point_went(matrix, dot):
    image = gaussian(np.array([dot]), 100, 2.0)[0]
    warped = geometry.warp_image(image, matrix, 128)
    rows, columns = np.mgrid[:128, :128] + 0.5
    found = np.array([(warped * columns).sum(), (warped * rows).sum()]) / warped.sum()
    np.testing.assert_allclose(found, geometry.warp_points(np.array([dot]), matrix)[0], atol=0.05)


@settings(max_examples=40, deadline=None)
@given(MAPS)
def test_the_inverse_leads_back(matrix):
    points = np.random.default_rng(0).uniform(0, 100, (20, 2))
    there = geometry.warp_points(points, matrix)
    np.testing.assert_allclose(geometry.warp_points(there, geometry.invert(matrix)), points, atol=1e-9)


def test_the_plain_crop_is_the_square_around_the_box():
    matrix = geometry.crop_matrix((10, 20, 30, 60), 100, scale=1.5)  # longer side 40: the crop shows 60
    corners = geometry.warp_points(np.array([[-10.0, 10.0], [50.0, 70.0]]), matrix)
    np.testing.assert_allclose(corners, [[0, 0], [100, 100]], atol=1e-9)


def test_mirroring_twice_is_the_identity_for_everything():
    rng = np.random.default_rng(1)
    mirror = np.array([[-1.0, 0, 64], [0, 1, 0]])
    rgb = rng.integers(0, 256, (64, 64, 3), np.uint8)
    ids = rng.choice(np.r_[0:21, 255], (64, 64)).astype(np.uint8)
    depth = np.where(rng.random((64, 64)) < 0.3, np.inf, rng.uniform(0.5, 1, (64, 64))).astype(np.float32)
    points = rng.uniform(0, 64, (68, 2))
    once = geometry.warp_rgb(rgb, mirror, 64)
    np.testing.assert_array_equal(once, rgb[:, ::-1])
    np.testing.assert_array_equal(geometry.warp_rgb(once, mirror, 64), rgb)
    flipped = geometry.warp_ids(ids, mirror, 64, 255, CLASS_FLIP)
    np.testing.assert_array_equal(flipped == CLASS_ID["left_eye"], ids[:, ::-1] == CLASS_ID["right_eye"])
    np.testing.assert_array_equal(geometry.warp_ids(flipped, mirror, 64, 255, CLASS_FLIP), ids)
    again = geometry.warp_depth(geometry.warp_depth(depth, mirror, 64), mirror, 64)
    np.testing.assert_array_equal(again, depth)
    moved = geometry.warp_points(points, mirror, LANDMARK_FLIP)
    np.testing.assert_allclose(moved[36], [64 - points[45, 0], points[45, 1]])
    np.testing.assert_allclose(geometry.warp_points(moved, mirror, LANDMARK_FLIP), points)


def test_depth_keeps_its_metres_and_its_holes():
    depth = np.full((50, 50), np.inf, np.float32)
    depth[10:40, 10:40] = 0.7
    matrix = geometry.crop_matrix((5, 5, 45, 45), 128, 1.3, rotation=0.3)
    warped = geometry.warp_depth(depth, matrix, 128)
    np.testing.assert_allclose(warped[np.isfinite(warped)], 0.7, rtol=1e-6)
    area = abs(np.linalg.det(matrix[:, :2])) * 900
    assert abs(np.isfinite(warped).sum() - area) < 0.02 * area


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 200
    small = geometry.warp_rgb(stripes, geometry.crop_matrix((0, 0, 256, 256), 32, 1.0), 32)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 100).max() <= 6


def test_reduced_labels_are_those_at_the_pixels_centres():
    from synthforge.datasets.sample import Sample

    columns = np.tile(np.arange(240, dtype=np.uint8), (240, 1))
    sample = Sample("s", cv2.merge([columns] * 3), (0.0, 0.0, 240.0, 240.0), target=columns)
    for factor in (3, 5):
        small = sample.reduced(240 / factor)
        np.testing.assert_array_equal(small.target[0], np.arange(factor // 2, 240, factor))
        np.testing.assert_array_equal(small.target, small.rgb[..., 0])


def test_reduced_labels_stay_on_their_pixels():
    from synthforge.datasets.sample import Sample

    points = np.array([[100.0, 60.0], [220.0, 180.0]])
    blobs = (200 * gaussian(points, 320, 8.0)).max(0).astype(np.uint8)
    sample = Sample("s", cv2.merge([blobs] * 3), (60.0, 20.0, 260.0, 220.0), points=points, target=blobs)
    small = sample.reduced(100)
    assert small.rgb.shape == (160, 160, 3) and small.target.shape == (160, 160)
    row, column = np.unravel_index(small.rgb[..., 0][:70, :80].argmax(), (70, 80))
    assert np.hypot(column + 0.5 - small.points[0, 0], row + 0.5 - small.points[0, 1]) < 1


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_coverage_is_the_share_of_the_crops_pixel(seed, mirror):
    rng = np.random.default_rng(seed)
    side, fine, size = 64, 8, 24
    # Truth at eight times the image's resolution: hair over a left brow over skin, in half planes.
    y, x = (np.mgrid[: side * fine, : side * fine] + 0.5) / fine
    angles, ways = rng.uniform(0, 2 * np.pi, 2), rng.uniform(-12, 12, 2)
    hair, brow = ((x - 32) * np.cos(a) + (y - 32) * np.sin(a) > d for a, d in zip(angles, ways, strict=True))
    bare = np.where(brow, CLASS_ID["left_brow"], CLASS_ID["skin"])
    truth = np.where(hair, CLASS_ID["hair"], bare).astype(np.uint8)
    blocks = hair.reshape(side, fine, side, fine).mean((1, 3))
    layers = {CLASS_ID["hair"]: np.rint(255 * blocks).astype(np.uint8)}
    under = bare[fine // 2 :: fine, fine // 2 :: fine].astype(np.uint8)
    matrix = geometry.crop_matrix((16, 16, 48, 48), size, 1.2, rng.uniform(-0.5, 0.5), mirror=mirror)
    got = geometry.warp_coverage(under, layers, N_CLASSES, matrix, size, CLASS_FLIP)
    exact = geometry.warp_ids(
        truth, geometry.scaled(matrix, fine) @ np.diag([1 / fine, 1 / fine, 1]), size * fine, 255, CLASS_FLIP
    ).reshape(size, fine, size, fine)
    for name in ("hair", "skin", "left_brow", "right_brow"):
        share = (exact == CLASS_ID[name]).mean((1, 3))
        off = np.abs(got[CLASS_ID[name]] / 255 - share)
        # Edges without a layer are as sharp as the pixels of the image, which the crop's are 1.6 of.
        assert off.mean() < (0.01 if name == "hair" else 0.03), name
        assert off.max() < (0.25 if name == "hair" else 0.8), name
    assert np.abs(got.astype(int).sum(0) - 255).max() <= 6
    assert set(np.flatnonzero(got.max((1, 2)) > 64)) <= set(np.unique(exact))


def test_nothing_covers_what_is_beyond_the_image_or_unknown():
    under = np.full((40, 40), CLASS_ID["skin"], np.uint8)
    under[:, 20:] = 255
    matrix = geometry.crop_matrix((0, 0, 40, 40), 20, 2.0)
    coverage = geometry.warp_coverage(under, {}, N_CLASSES, matrix, 20)
    known = np.zeros((20, 20))
    known[5:15, 5:10] = 255
    np.testing.assert_array_equal(coverage.sum(0), known)
