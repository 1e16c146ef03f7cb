"""The 68 points and the visible contour against annotators' frontal medians and rendered silhouettes."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import project
from synthforge.conventions import LANDMARK_FLIP, LANDMARK_GROUPS
from synthforge.errors import GeometryError
from synthforge.heads.base import surface_points
from synthforge.heads.ibug import (
    JAW,
    brow_outline,
    brow_points,
    contour_stations,
    eye_corner_frame,
    ibug_landmarks,
    visible_contour,
)
from synthforge.render import rasterize
from tests.helpers.heads import posed

SIZE = 512
TABLE = json.loads((Path(__file__).parent / "ibug_frontal.json").read_text())


def photographed(head, vertices, yaw=0.0, pitch=0.0, distance=1.2):
    """Landmarks (68 2) and visible contour (17 2) in pixels, and the camera."""
    camera = orbit_camera(
        np.radians(yaw),
        np.radians(pitch),
        0.0,
        distance,
        np.radians(16),
        np.array([0, -0.02, 0.05]),
        (SIZE, SIZE),
    )
    points = project(head.landmarks(vertices).astype(float), camera)[:, :2]
    stations = surface_points(vertices, head.faces, head.contour_face, head.contour_barycentric).astype(float)
    return points, visible_contour(project(stations, camera)[..., :2]), camera


def test_frontal_points_lie_where_annotators_put_them(any_head):
    """Units: outer-eye distance. One head against the median of many, so faces' own spread is in it: eyes a
    little smaller than the median's make everything far from them large."""
    points, contour, _ = photographed(any_head, posed(any_head))
    for jaw in (points[:17], contour):
        gap = np.linalg.norm(eye_corner_frame(np.r_[jaw, points[17:]]) - TABLE["points"], axis=1)
        assert gap.mean() < 0.07
        for group, bound in {"jaw": 0.12, "brow": 0.03, "nose": 0.04, "eye": 0.02, "mouth": 0.1}.items():
            assert gap[LANDMARK_GROUPS[group]].mean() < bound, group


def test_points_are_symmetric_on_a_symmetric_head(any_head):
    points = any_head.landmarks(posed(any_head))
    gap = np.linalg.norm(points[LANDMARK_FLIP] * [-1, 1, 1] - points, axis=1)
    assert gap.max() < 1e-3


def test_closed_lids_and_open_mouth(any_head):
    """Blinking brings upper and lower lid points together; an open jaw parts the inner lips only."""
    at_rest = any_head.landmarks(posed(any_head))
    blink = any_head.landmarks(posed(any_head, expression={"eyeBlink_L": 1.0, "eyeBlink_R": 1.0}))
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        open_gap = np.linalg.norm(at_rest[upper] - at_rest[lower])
        assert np.linalg.norm(blink[upper] - blink[lower]) < 0.3 * open_gap
    wide = any_head.landmarks(posed(any_head, expression={"jawOpen": 0.7}))
    assert np.linalg.norm(at_rest[62] - at_rest[66]) < 0.002
    assert wide[62, 1] - wide[66, 1] > 0.012
    np.testing.assert_allclose(wide[27:31], at_rest[27:31], atol=2e-3)


@pytest.mark.parametrize("yaw", [-65, -45, -25, 25, 45, 65])
@pytest.mark.parametrize("pitch", [-20, 0, 20])
def test_far_side_follows_the_silhouette(any_head, yaw, pitch):
    """On the far cheek the background begins at the contour, and no point lies in the background."""
    vertices = posed(any_head)
    points, contour, camera = photographed(any_head, vertices, yaw, pitch)
    head = rasterize(project(vertices, camera), any_head.faces, SIZE, SIZE).face_index >= 0
    row, column = contour[:, 1].astype(int), contour[:, 0].astype(int)
    eyes = np.linalg.norm(points[45] - points[36]) / np.cos(np.radians(yaw))
    depth = distance_transform_edt(head)[row, column] / eyes
    far = slice(1, 6) if yaw > 0 else slice(11, 16)
    assert depth[far].max() < (0.08 if abs(yaw) <= 45 else 0.2)  # nose and lips stand before the cheek
    assert distance_transform_edt(~head)[row, column].max() <= 2


@pytest.mark.parametrize("yaw", [-50, -20, 0, 35])
def test_contour_turns_and_mirrors_with_the_view(ict_head, yaw):
    vertices = posed(ict_head)
    _, here, _ = photographed(ict_head, vertices, yaw)
    _, there, _ = photographed(ict_head, vertices, -yaw)
    np.testing.assert_allclose(there[::-1] * [-1, 1] + [SIZE, 0], here, atol=2.0)
    stations = np.random.default_rng(0).normal(size=(35, 16, 2)) * 20 + here.mean(0)
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    np.testing.assert_allclose(visible_contour(stations @ turn), visible_contour(stations) @ turn, atol=1e-9)


def test_contour_of_a_sphere_is_its_outline():
    """Meridian strips over a sphere seen from the front and turned: the outline is a circle either way."""
    along = np.linspace(-np.pi / 2, np.pi / 2, 35)  # right, down, left
    across = np.radians(np.linspace(5, 100, 96))
    outward = np.stack([np.sin(along), np.cos(along), 0 * along], -1)
    strips = np.sin(across)[:, None] * outward[:, None] + np.cos(across)[:, None] * [0, 0, 1]
    points = visible_contour(100 * strips[..., :2])
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 100, atol=0.2)
    # along the circle by JAW's fractions of each quarter
    angle = np.arctan2(points[:9, 1], -points[:9, 0]) / (np.pi / 2)
    np.testing.assert_allclose(angle, JAW, atol=5e-3)


def test_brow_points_lie_in_the_brow():
    import cv2

    right, left = np.array([-0.045, 0.02, 0.07]), np.array([0.045, 0.02, 0.07])
    outline = (brow_outline(right, left) * 1000).astype(np.float32)
    for point in brow_points(right, left)[5:] * 1000:
        assert cv2.pointPolygonTest(outline, point.tolist(), True) > 0.3  # mm inside


def test_missing_inputs_are_named(ict_head):
    vertices = ict_head.vertices.numpy()
    with pytest.raises(GeometryError, match="stomion_lower"):
        ibug_landmarks(vertices, ict_head.faces, {"lid_margin_left": np.array([0])}, {})
    with pytest.raises(GeometryError, match="gnathion"):
        contour_stations(vertices, ict_head.faces, {"stomion": np.zeros(3)})
