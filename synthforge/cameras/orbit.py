"""Cameras placed around a head, by our own angles and as EG3D's labels state them."""

import numpy as np
from jaxtyping import Float

from synthforge.types import Camera

VOLUME_UNIT = 0.4  # metres per unit of Next3D's volume: plane coordinate 5x (x in m) is 2 volume units
# World places (m) of the volume's origin, and of (0, 0, 0.2) in it, which EG3D's cameras look at.
EG3D_ORIGIN, EG3D_PIVOT = np.array([0.0, -0.01, -0.04]), np.array([0.0, -0.01, 0.04])


def eg3d_focal(field_of_view: float) -> float:
    """Focal length in image widths of a field of view (radians) as EG3D's camera label states it.

    Source: Next3D's and EG3D's generating scripts; 1.414 and 3.14159 are their roundings.
    """
    return 1 / (1.414 * np.tan(np.degrees(field_of_view) * 3.14159 / 360))


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
    look_at = np.asarray(look_at)
    centre = look_at + distance * orbit_direction(azimuth, elevation)
    return camera_at(centre, look_at, roll, field_of_view, size)


def eg3d_camera(
    azimuth: float,
    elevation: float,
    roll: float,
    radius: float,
    field_of_view: float,
    size: tuple[int, int],
    jitter: Float[np.ndarray, " 3"] | None = None,
) -> Camera:
    """Camera as EG3D's label states it: on a sphere around the volume's origin, looking at the pivot.

    Args:
        azimuth, elevation, roll: radians, as of `orbit_camera`, seen from the volume's origin.
        radius: of the sphere, in volume units (`VOLUME_UNIT`); the published generators know 2.7.
        field_of_view: radians, as `eg3d_focal` reads it.
        size: height, width in pixels.
        jitter: metres, moves the pivot.
    """
    look_at = EG3D_PIVOT if jitter is None else EG3D_PIVOT + jitter
    centre = EG3D_ORIGIN + radius * VOLUME_UNIT * orbit_direction(azimuth, elevation)
    return camera_at(centre, look_at, roll, 2 * np.arctan(0.5 / eg3d_focal(field_of_view)), size)


def orbit_direction(azimuth: float, elevation: float) -> Float[np.ndarray, " 3"]:
    """Unit vector towards the camera; angles as of `orbit_camera`."""
    return np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    )


def camera_at(
    centre: Float[np.ndarray, " 3"],
    look_at: Float[np.ndarray, " 3"],
    roll: float,
    field_of_view: float,
    size: tuple[int, int],
) -> Camera:
    """Camera at `centre` (metres, world frame) that looks at a point; angles as of `orbit_camera`."""
    forward = look_at - centre
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    cam2world = np.eye(4)
    cam2world[:3, 0] = c * right - s * down
    cam2world[:3, 1] = s * right + c * down
    cam2world[:3, 2] = forward
    cam2world[:3, 3] = centre
    height, width = size
    focal = 0.5 * height / np.tan(0.5 * field_of_view)
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(intrinsics, cam2world, size)
