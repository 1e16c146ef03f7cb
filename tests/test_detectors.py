"""The detectors' benchmark: angles against known cameras, and scores in closed form."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from benchmarks.detectors import Cascade, Face, _angle, landmark_lines, photographs
from synthforge.landmark_sets import dense_set
from tests.helpers.shared import shared_path


@settings(deadline=None, max_examples=40)
@given(st.floats(-80, 80), st.floats(-30, 30), st.floats(-40, 40), st.floats(-0.2, 0.2))
def test_angle_is_that_between_the_face_and_the_camera(yaw, pitch, roll, aside):
    turn = Rotation.from_euler("ZYX", [roll, yaw, pitch], degrees=True)
    into_camera = np.diag([1.0, -1, -1])  # head frame: y up, z towards the camera
    points = turn.apply(dense_set().points) @ into_camera + [aside, 0, 1.2]
    middle = points[np.r_[27:36, 36, 39, 42, 45]].mean(0)
    want = np.degrees(np.arccos((turn.apply([0, 0, 1]) @ into_camera) @ -middle / np.linalg.norm(middle)))
    assert _angle(points) == pytest.approx(want, abs=1e-4)


def faces(n: int) -> list[Face]:
    points = dense_set().points[:68, :2] * [1000, -1000] + 128
    return [Face(np.zeros((256, 256, 3), np.uint8), points, 50.0 if i == 0 else 5.0, True) for i in range(n)]


def test_scores_are_shares_of_the_distance_of_the_eyes():
    some = faces(5)
    eyes = np.linalg.norm(some[0].points[36] - some[0].points[45])
    points = np.stack([f.points for f in some])
    points[1:4, :, 0] += 0.03 * eyes
    points[0, :17] += 999  # the jaw does not count
    lines = landmark_lines(some, points, np.array([1, 1, 1, 1, 0], bool))
    assert lines[0] == "landmarks, uncovered, frontal (4): 75.0 % detected, NME51 3.00, median 3.00"
    assert lines[1] == "landmarks, all (5): 80.0 % detected, NME51 2.25, median 3.00"
    with pytest.raises(ValueError, match="for 5 faces"):
        landmark_lines(some, points[:3], np.ones(3, bool))


def test_cascade_fires_on_a_photographed_face_and_where_it_is():
    photos = photographs(shared_path("real_dev/300W/helen/testset"))
    frontal = [face for face, _ in zip(photos, range(8), strict=False) if face.angle < 20]
    cascade = Cascade()
    fired = [face for face in frontal if cascade.fires(face)]
    assert len(frontal) >= 3 and len(fired) >= 0.6 * len(frontal)
    elsewhere = Face(fired[0].rgb, fired[0].points + [0.8 * np.ptp(fired[0].points[:, 0]), 0], 0.0, True)
    assert not cascade.fires(elsewhere)
    grey = Face(cv2.blur(fired[0].rgb, (99, 99)), fired[0].points, 0.0, True)
    assert not cascade.fires(grey)
