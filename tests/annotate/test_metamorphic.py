"""The same head in a mirror, at twice the resolution, and with the camera rolled."""

from dataclasses import replace

import numpy as np

from synthforge.cameras.project import scaled
from synthforge.conventions import CLASS_FLIP, LANDMARK_FLIP
from synthforge.heads.base import HeadModel
from synthforge.types import Camera
from tests.annotate.scenes import TURN, label, posed, share_equal, view
from tests.helpers.tiny_head import mirrored, tiny_head_arrays


def test_mirrored_head_and_camera_give_mirrored_labels(tiny):
    other = HeadModel("mirrored", mirrored(tiny_head_arrays(), CLASS_FLIP))
    size = (160, 200)
    camera = view(size, 0.4, 0.2, 0.15)
    camera.intrinsics[0, 2] += 7.25
    params, vertices = posed(tiny, camera, TURN)
    reflect = np.diag([-1.0, 1, 1, 1])
    intrinsics = camera.intrinsics.copy()
    intrinsics[0, 2] = size[1] - intrinsics[0, 2]
    seen = Camera(intrinsics, reflect @ camera.cam2world @ reflect, size)
    turn = {"neck": (0.1, -0.25, 0.1), "right_eye": (0.1, -0.2, 0), "left_eye": (0.05, -0.3, 0)}
    other_params, other_vertices = posed(other, seen, turn)

    a, b = label(tiny, params, vertices), label(other, other_params, other_vertices)
    assert share_equal(CLASS_FLIP[a.segmentation[:, ::-1]], b.segmentation) > 0.9995
    hit = np.isfinite(a.depth[:, ::-1]) & np.isfinite(b.depth)
    np.testing.assert_allclose(a.depth[:, ::-1][hit], b.depth[hit], atol=1e-4)
    assert np.abs((a.normals[:, ::-1] * [-1, 1, 1] - b.normals)[hit]).mean() < 1e-4
    assert share_equal(a.alpha[:, ::-1], b.alpha) > 0.9995

    def flipped(points: np.ndarray) -> np.ndarray:
        return points * [-1, 1] + [size[1], 0]

    np.testing.assert_allclose(flipped(a.landmarks_2d)[LANDMARK_FLIP], b.landmarks_2d, atol=2e-3)
    np.testing.assert_array_equal(a.landmarks_visible[LANDMARK_FLIP], b.landmarks_visible)
    np.testing.assert_allclose(flipped(a.landmarks_contour_2d)[::-1], b.landmarks_contour_2d, atol=2e-3)
    np.testing.assert_allclose(flipped(a.pupils_2d)[::-1], b.pupils_2d, atol=2e-3)
    np.testing.assert_allclose(a.gaze[::-1] * [-1, 1, 1], b.gaze, atol=1e-5)


def test_twice_the_resolution_shows_the_same(head):
    params, vertices = posed(head, view(160, 0.3, 0.1), TURN)
    once = label(head, params, vertices)
    twice = label(head, replace(params, camera=scaled(params.camera, 2)), vertices)
    np.testing.assert_allclose(twice.landmarks_2d, 2 * once.landmarks_2d, atol=1e-3)
    np.testing.assert_allclose(twice.landmarks_3d, once.landmarks_3d)
    np.testing.assert_allclose(twice.landmarks_contour_2d, 2 * once.landmarks_contour_2d, atol=1e-3)
    np.testing.assert_allclose(twice.pupils_2d, 2 * once.pupils_2d, atol=1e-3)
    assert (twice.landmarks_visible != once.landmarks_visible).sum() <= 3
    block = twice.segmentation.reshape(160, 2, 160, 2)
    unanimous = (block == block[:, :1, :, :1]).all((1, 3))
    assert unanimous.mean() > 0.9
    assert share_equal(block[:, 0, :, 0][unanimous], once.segmentation[unanimous]) > 0.999
    alpha = twice.alpha.reshape(160, 2, 160, 2).mean((1, 3)) / 255
    assert np.abs(alpha - once.alpha / 255).max() < 0.4 and abs(alpha.mean() - once.alpha.mean() / 255) < 5e-4


def test_rolled_camera_gives_rotated_labels(head):
    straight, rolled = view(176, 0.3, 0.1, 0.2), view(176, 0.3, 0.1, 0.2 + np.pi / 2)
    a = label(head, *posed(head, straight, TURN))
    b = label(head, *posed(head, rolled, TURN))

    def turned(image: np.ndarray) -> np.ndarray:
        return np.rot90(image, -1)  # clockwise

    assert share_equal(turned(a.segmentation), b.segmentation) > 0.999
    assert share_equal(turned(a.alpha), b.alpha) > 0.998
    hit = np.isfinite(turned(a.depth)) & np.isfinite(b.depth)
    assert np.quantile(np.abs(turned(a.depth)[hit] - b.depth[hit]), 0.999) < 1e-4
    normals = turned(a.normals)[..., [1, 0, 2]] * [-1, 1, 1]
    assert np.abs(normals - b.normals)[hit].mean() < 1e-3
    for key in ("landmarks_2d", "pupils_2d"):
        points = getattr(a, key)[:, ::-1] * [-1, 1] + [176, 0]
        np.testing.assert_allclose(points, getattr(b, key), atol=2e-3)
    np.testing.assert_allclose(a.gaze[:, [1, 0, 2]] * [-1, 1, 1], b.gaze, atol=1e-5)
    assert (a.landmarks_visible != b.landmarks_visible).sum() <= 1
