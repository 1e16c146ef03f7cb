"""Units and cameras, both ways."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.alignment import Cameras, VolumeFrame, pose_bins, z_of_ray
from synthforge.alignment.frame import metres, per_metre
from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import from_pixels, project
from synthforge.errors import GeometryError
from synthforge.types import Camera

angles = st.floats(-1.2, 1.2)


@st.composite
def cameras(draw, n=2, size=64):
    out = []
    for _ in range(n):
        look_at = np.array([draw(st.floats(-0.1, 0.1)) for _ in range(3)])
        camera = orbit_camera(
            draw(angles), draw(angles), draw(angles), draw(st.floats(0.6, 2)), draw(st.floats(0.1, 1)),
            look_at, (size, size),
        )  # fmt: skip
        camera.intrinsics[0, 1] = draw(st.floats(-3, 3))
        out.append(camera)
    return out


@settings(deadline=None, max_examples=30)
@given(cameras(), st.floats(-0.3, 0.3), st.integers(0, 2**32 - 1))
def test_volume_and_world_see_the_same_pixels(some, z0, seed):
    frame, world = VolumeFrame(z0), Cameras.stack(some)
    points = torch.from_numpy(np.random.default_rng(seed).uniform(-0.1, 0.1, (2, 9, 3))).float()
    label = frame.label(world)
    in_volume = Cameras(label[:, :16].reshape(-1, 4, 4), label[:, 16:].reshape(-1, 3, 3))
    here, there = world.project(points), in_volume.project(frame.to_volume(points))
    torch.testing.assert_close(there[..., :2], here[..., :2], rtol=0, atol=2e-5)
    torch.testing.assert_close(metres(there[..., 2]), here[..., 2], rtol=0, atol=1e-5)
    torch.testing.assert_close(frame.to_world(frame.to_volume(points)), points, rtol=0, atol=1e-6)
    back = frame.cameras(label)
    torch.testing.assert_close(back.cam2world, world.cam2world, rtol=0, atol=1e-6)
    torch.testing.assert_close(back.intrinsics, world.intrinsics, rtol=0, atol=0)


@settings(deadline=None, max_examples=30)
@given(cameras(), st.integers(0, 2**32 - 1))
def test_projection_is_the_scenes(some, seed):
    points = np.random.default_rng(seed).uniform(-0.1, 0.1, (2, 9, 3))
    got = Cameras.stack(some).project(torch.from_numpy(points).float()).numpy()
    for i, camera in enumerate(some):
        np.testing.assert_allclose(got[i] * [64, 64, 1], project(points[i], camera), rtol=0, atol=2e-3)
        back = Cameras.stack(some).camera(i, 64)
        np.testing.assert_allclose(back.intrinsics, camera.intrinsics, atol=1e-3)
        np.testing.assert_allclose(back.cam2world, camera.cam2world, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(cameras(n=1, size=16))
def test_distance_along_rays_becomes_depth(some):
    (camera,) = some
    pixels = np.stack(np.meshgrid(np.arange(16) + 0.5, np.arange(16) + 0.5), -1)
    distance = np.linalg.norm(from_pixels(pixels, np.full((16, 16), 1.3), camera), axis=-1)
    intrinsics = Cameras.stack(some).intrinsics
    depth = z_of_ray(torch.from_numpy(distance).float()[None], intrinsics)
    torch.testing.assert_close(depth, torch.full((1, 16, 16), 1.3), rtol=1e-5, atol=0)


def test_plane_geometry_fixes_x_and_y():
    # A vertex is drawn at 5x and 5(y + 0.01) of its plane; the volume reads that place at X = 2x', Y = 2y'.
    x, y = 0.03, -0.05
    volume = VolumeFrame().to_volume(torch.tensor([[x, y, 0.0]]))[0]
    assert float(2 * volume[0]) == pytest.approx(5 * x)
    assert float(2 * volume[1]) == pytest.approx(5 * (y + 0.01))


def test_optical_depth_does_not_depend_on_units():
    density, length = torch.tensor([40.0]), torch.tensor([0.3])  # per unit, units
    torch.testing.assert_close(per_metre(density) * metres(length), density * length)


def test_pose_names_say_where_the_camera_is():
    at = [orbit_camera(np.deg2rad(yaw), 0.3, 0, 1, 0.3, np.zeros(3), (8, 8)) for yaw in (-44, -1, 3, 31)]
    assert pose_bins(Cameras.stack(at)) == ["yaw -45 to -30", "yaw -15 to 0", "yaw 0 to 15", "yaw 30 to 45"]
    yaw, pitch = Cameras.stack(at).yaw_pitch()[3].tolist()
    assert yaw == pytest.approx(np.deg2rad(31), abs=1e-6) and pitch == pytest.approx(0.3, abs=1e-6)


def test_oblong_images_are_refused():
    with pytest.raises(GeometryError, match="48 x 64"):
        Cameras.stack([Camera(np.eye(3), np.eye(4), (48, 64))])
