"""Pinhole projection and the orbit camera. Checked against OpenCV in tests/scene."""

import numpy as np
from jaxtyping import Float

from synthforge.types import Camera


def world2cam(camera: Camera) -> Float[np.ndarray, "4 4"]:
    """Rigid inverse of `cam2world`."""
    rotation, centre = camera.cam2world[:3, :3], camera.cam2world[:3, 3]
    out = np.eye(4)
    out[:3, :3] = rotation.T
    out[:3, 3] = -rotation.T @ centre
    return out


def to_camera(points_world: Float[np.ndarray, "*n 3"], camera: Camera) -> Float[np.ndarray, "*n 3"]:
    """World points (m) in the camera frame (m)."""
    m = world2cam(camera)
    return points_world @ m[:3, :3].T + m[:3, 3]


def to_pixels(points_cam: Float[np.ndarray, "*n 3"], camera: Camera) -> Float[np.ndarray, "*n 3"]:
    """Camera-frame points (m) as x, y in pixels and z-depth in metres; z must be positive."""
    k = camera.intrinsics
    z = points_cam[..., 2:]
    xy = points_cam @ k[:2].T / z
    return np.concatenate([xy, z], -1)


def project(points_world: Float[np.ndarray, "*n 3"], camera: Camera) -> Float[np.ndarray, "*n 3"]:
    """World points (m) as x, y in pixels and z-depth in metres."""
    return to_pixels(to_camera(points_world, camera), camera)


def unproject(
    pixels: Float[np.ndarray, "*n 2"], depth: Float[np.ndarray, "*n"], camera: Camera
) -> Float[np.ndarray, "*n 3"]:
    """Camera-frame points (m) of pixels at z-depth (m)."""
    k = camera.intrinsics
    y = (pixels[..., 1] - k[1, 2]) / k[1, 1]
    x = (pixels[..., 0] - k[0, 2] - k[0, 1] * y) / k[0, 0]
    return np.stack([x * depth, y * depth, depth], -1)


def scaled(camera: Camera, factor: int) -> Camera:
    """The same view sampled `factor` times as densely along each axis."""
    k = camera.intrinsics.copy()
    k[:2] *= factor
    return Camera(k, camera.cam2world, (camera.size[0] * factor, camera.size[1] * factor))


def orbit_camera(
    azimuth: float,
    elevation: float,
    roll: float,
    distance: float,
    field_of_view: float,
    look_at: Float[np.ndarray, " 3"],
    size: tuple[int, int],
) -> Camera:
    """Camera on a sphere around `look_at`.

    Args:
        azimuth: radians; positive moves the camera to the subject's left (+x).
        elevation: radians; positive moves it up.
        roll: radians about the viewing axis; positive turns the image content clockwise.
        distance: metres from `look_at`.
        field_of_view: radians, vertical.
        look_at: metres, world frame.
        size: height, width in pixels.
    """
    direction = np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    )
    forward = -direction
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    cam2world = np.eye(4)
    cam2world[:3, 0] = c * right - s * down
    cam2world[:3, 1] = s * right + c * down
    cam2world[:3, 2] = forward
    cam2world[:3, 3] = np.asarray(look_at) + distance * direction
    height, width = size
    focal = 0.5 * height / np.tan(0.5 * field_of_view)
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(intrinsics, cam2world, size)
