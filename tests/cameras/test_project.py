"""Cameras against OpenCV and their own inverse."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from next3d.cameras import fov_intrinsics, look_at
from scipy.spatial.transform import Rotation

from synthforge.cameras.orbit import eg3d_camera, orbit_camera
from synthforge.cameras.project import (
    from_pixels,
    project,
    scaled,
    to_camera,
    to_pixels,
    unproject,
    world2cam,
)
from synthforge.errors import GeometryError

numbers = st.floats(-1, 1)


@st.composite
def cameras(draw):
    camera = orbit_camera(
        azimuth=draw(st.floats(-3, 3)),
        elevation=draw(st.floats(-1.4, 1.4)),
        roll=draw(st.floats(-3, 3)),
        distance=draw(st.floats(1, 4)),
        field_of_view=draw(st.floats(0.1, 1.5)),
        look_at=np.array([draw(numbers) for _ in range(3)]),
        size=(draw(st.integers(16, 600)), draw(st.integers(16, 600))),
    )
    camera.intrinsics[0, 1] = draw(st.floats(-5, 5))
    return camera


@settings(deadline=None, max_examples=50)
@given(cameras(), st.integers(0, 2**32 - 1))
def test_projection_is_opencvs(camera, seed):
    in_front = np.random.default_rng(seed).uniform([-0.5, -0.5, 0.3], [0.5, 0.5, 4], (20, 3))
    world = in_front @ camera.cam2world[:3, :3].T + camera.cam2world[:3, 3]
    view = world2cam(camera)
    turn = Rotation.from_matrix(view[:3, :3]).as_rotvec()
    skewless = camera.intrinsics.copy()
    skewless[0, 1] = 0  # OpenCV ignores skew
    want, _ = cv2.projectPoints(world, turn, view[:3, 3], skewless, None)
    got = project(world, camera)
    skew = camera.intrinsics[0, 1] * in_front[:, 1] / in_front[:, 2]
    np.testing.assert_allclose(got[:, 0], want[:, 0, 0] + skew, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(got[:, 1], want[:, 0, 1], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(got[:, 2], in_front[:, 2], atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(cameras(), st.integers(0, 2**32 - 1))
def test_unproject_inverts_project(camera, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(-10, 700, (4, 5, 2))
    depth = rng.uniform(0.1, 5, (4, 5))
    for back in (
        to_pixels(from_pixels(pixels, depth, camera), camera),
        project(unproject(pixels, depth, camera), camera),
    ):
        np.testing.assert_allclose(back[..., :2], pixels, atol=1e-6)
        np.testing.assert_allclose(back[..., 2], depth, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(cameras())
def test_world2cam_is_the_rigid_inverse(camera):
    np.testing.assert_allclose(world2cam(camera) @ camera.cam2world, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(camera.cam2world[:3, :3]), 1, atol=1e-12)


def orbit(azimuth=0.0, elevation=0.0, roll=0.0, look_at=(0.1, -0.2, 0.05), size=(120, 160)):
    return orbit_camera(azimuth, elevation, roll, 2.0, 0.4, np.array(look_at), size)


@settings(deadline=None, max_examples=30)
@given(st.floats(-3, 3), st.floats(-1.4, 1.4), st.floats(-3, 3))
def test_look_at_is_in_the_middle_at_the_distance(azimuth, elevation, roll):
    camera = orbit(azimuth, elevation, roll)
    np.testing.assert_allclose(project(np.array([0.1, -0.2, 0.05]), camera), [80, 60, 2], atol=1e-9)


def test_azimuth_and_elevation_move_the_camera_to_the_subjects_left_and_up():
    target = np.array([0.1, -0.2, 0.05])
    front, left, above = orbit(), orbit(azimuth=np.pi / 2), orbit(elevation=np.pi / 4)
    np.testing.assert_allclose(front.cam2world[:3, 3], target + [0, 0, 2], atol=1e-12)
    np.testing.assert_allclose(left.cam2world[:3, 3], target + [2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(above.cam2world[:3, 3], target + [0, 2**0.5, 2**0.5], atol=1e-12)


def test_the_frontal_view_is_upright_with_the_subjects_left_on_the_right():
    camera, target = orbit(), np.array([0.1, -0.2, 0.05])
    left, up, near = (project(target + offset, camera) for offset in 0.1 * np.eye(3))
    assert left[0] > 80 and abs(left[1] - 60) < 1e-9
    assert up[1] < 60 and abs(up[0] - 80) < 1e-9
    assert near[2] < 2


def test_positive_roll_turns_the_image_content_clockwise():
    target = np.array([0.1, -0.2, 0.05])
    up = project(target + [0, 0.1, 0], orbit(roll=np.pi / 2))
    assert up[0] > 85 and abs(up[1] - 60) < 1e-9  # what was above is now at the right


def test_field_of_view_is_vertical():
    camera = orbit()
    top = project(np.array([0.1, -0.2 + 2 * np.tan(0.2), 0.05]), camera)
    np.testing.assert_allclose(top[1], 0, atol=1e-9)


def test_scaled_camera_sees_the_same_more_densely():
    camera, points = orbit(0.3, 0.2, 0.1), np.random.default_rng(0).normal(0, 0.1, (9, 3))
    once, thrice = project(points, camera), project(points, scaled(camera, 3))
    np.testing.assert_allclose(thrice, once * [3, 3, 1], atol=1e-9)
    assert scaled(camera, 3).size == (360, 480)
    np.testing.assert_allclose(to_camera(points, camera), to_camera(points, scaled(camera, 3)))


@settings(deadline=None, max_examples=50)
@given(st.floats(-1.5, 1.5), st.floats(-0.75, 0.75), st.floats(10, 30))
def test_the_eg3d_camera_is_the_networks_own(yaw, pitch, fov_deg):
    """The network counts pitch in equal areas and from above; its volume lies at (0, -0.01, -0.04) m."""
    elevation = np.arcsin(-2 * pitch / np.pi)
    camera = eg3d_camera(yaw, elevation, 0, 2.7, np.radians(fov_deg), (512, 512))
    want = look_at(torch.tensor([yaw]), torch.tensor([pitch]))[0].numpy()
    want[:3, 3] = 0.4 * want[:3, 3] + [0, -0.01, -0.04]
    np.testing.assert_allclose(camera.cam2world, want, atol=1e-6)
    intrinsics = fov_intrinsics(torch.tensor([fov_deg]))[0].numpy() * [[512], [512], [1]]
    np.testing.assert_allclose(camera.intrinsics, intrinsics, rtol=1e-5)


def test_the_label_of_the_training_cameras():
    """Their focal length is 4.2647 image widths, stated as 18.837 degrees."""
    camera = eg3d_camera(0, 0, 0, 2.7, np.radians(18.837), (100, 100))
    np.testing.assert_allclose(camera.intrinsics[0, 0], 426.47, rtol=5e-4)
    np.testing.assert_allclose(camera.cam2world[:3, 3], [0, -0.01, 2.7 * 0.4 - 0.04], atol=1e-9)


def test_what_are_no_points_is_one_line(untyped):
    camera = orbit_camera(0.0, 0.0, 0.0, 1.0, 0.5, np.zeros(3), (8, 8))
    with pytest.raises(GeometryError, match=r"project: int64 of shape \(2,\); give numbers x, y, z"):
        project([1, 2], camera)
    with pytest.raises(GeometryError, match=r"project: <U1 of shape \(3,\); give numbers x, y, z"):
        project(["a", "b", "c"], camera)
    with pytest.raises(GeometryError, match=r"pixels of shape \(3, 2\) and depths of shape \(4,\); give"):
        unproject(np.zeros((3, 2)), np.ones(4), camera)
