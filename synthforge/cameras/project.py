"""Projection through pinhole and lens. Checked against OpenCV in tests/cameras."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numba import njit

from synthforge.cameras.lens import distort, undistort
from synthforge.errors import GeometryError
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
    points_world = np.asarray(points_world)
    return _transform(points_world.reshape(-1, 3), world2cam(camera)).reshape(points_world.shape)


def to_pixels(points_cam: Float[np.ndarray, "*n 3"], camera: Camera) -> Float[np.ndarray, "*n 3"]:
    """Camera-frame points (m) as x, y in pixels and z-depth in metres; z must be positive."""
    points_cam = np.asarray(points_cam)
    if camera.distortion.any():
        z = points_cam[..., 2:]
        points_cam = np.concatenate([distort(points_cam[..., :2] / z, camera.distortion) * z, z], -1)
    return pinhole_pixels(points_cam, camera)


def pinhole_pixels(points_cam: Float[np.ndarray, "*n 3"], camera: Camera) -> Float[np.ndarray, "*n 3"]:
    """`to_pixels` without the lens: straight lines stay straight, as rasterizing needs them.

    The samples of the image are then at `sample_places`.
    """
    points_cam = np.asarray(points_cam)
    intrinsics = camera.intrinsics.astype(np.float64)
    return _perspective(points_cam.reshape(-1, 3), intrinsics).reshape(points_cam.shape)


def sample_places(camera: Camera) -> Float[np.ndarray, "h w 2"] | None:
    """Where the pixel centres of the image lie in `pinhole_pixels`; None without a lens: at themselves."""
    if not camera.distortion.any():
        return None
    height, width = camera.size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = from_pixels(np.stack([x, y], -1), np.ones((height, width)), camera)
    return np.ascontiguousarray(pinhole_pixels(rays, camera)[..., :2])


def project(points_world: Float[np.ndarray, "*n 3"], camera: Camera) -> Float[np.ndarray, "*n 3"]:
    """World points (m) as x, y in pixels and z-depth in metres.

    Raises:
        GeometryError: these are no points.
    """
    points = np.asarray(points_world)
    if points.shape[-1:] != (3,) or points.dtype.kind not in "iuf":
        what, fix = f"{points.dtype} of shape {points.shape}", "give numbers x, y, z along the last axis"
        raise GeometryError(what, where="project", fix=fix)
    return to_pixels(to_camera(points, camera), camera)


def from_pixels(
    pixels: Float[np.ndarray, "*n 2"], depth: Float[np.ndarray, "*n"], camera: Camera
) -> Float[np.ndarray, "*n 3"]:
    """Camera-frame points (m) of pixels at z-depth (m): the inverse of `to_pixels`.

    Raises:
        GeometryError: the lens cannot be inverted at a pixel.
    """
    k = camera.intrinsics
    y = (pixels[..., 1] - k[1, 2]) / k[1, 1]
    x = (pixels[..., 0] - k[0, 2] - k[0, 1] * y) / k[0, 0]
    rays = np.stack([x, y], -1)
    if camera.distortion.any():
        rays = undistort(rays, camera.distortion)
    return np.concatenate([rays * depth[..., None], depth[..., None]], -1)


def unproject(
    pixels: Float[np.ndarray, "*n 2"], depth: Float[np.ndarray, "*n"], camera: Camera
) -> Float[np.ndarray, "*n 3"]:
    """World points (m) of pixels at z-depth (m): the inverse of `project`.

    Raises:
        GeometryError: these are no pixels with a depth each, or the lens cannot be inverted at one.
    """
    pixels, depth = np.asarray(pixels), np.asarray(depth)
    if pixels.shape != (*depth.shape, 2):
        what = f"pixels of shape {pixels.shape} and depths of shape {depth.shape}"
        raise GeometryError(
            what, where="unproject", fix="give x, y along the last axis, and a depth for each"
        )
    points = from_pixels(pixels, depth, camera)
    return _transform(points.reshape(-1, 3), camera.cam2world).reshape(points.shape)


@njit(cache=True)
def _transform(points, matrix):
    """matrix @ [point, 1] in float64; a matrix product of this shape is ten times slower."""
    out = np.empty((points.shape[0], 3), np.float64)
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        for i in range(3):
            out[n, i] = matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] * z + matrix[i, 3]
    return out


@njit(cache=True, error_model="numpy")
def _perspective(points, intrinsics):
    out = np.empty((points.shape[0], 3), np.float64)
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        out[n, 0] = (intrinsics[0, 0] * x + intrinsics[0, 1] * y + intrinsics[0, 2] * z) / z
        out[n, 1] = (intrinsics[1, 0] * x + intrinsics[1, 1] * y + intrinsics[1, 2] * z) / z
        out[n, 2] = z
    return out


def scaled(camera: Camera, factor: int) -> Camera:
    """The same view sampled `factor` times as densely along each axis."""
    k = camera.intrinsics.copy()
    k[:2] *= factor
    return replace(camera, intrinsics=k, size=(camera.size[0] * factor, camera.size[1] * factor))
