"""From where a face is seen and where it looks: the head's turn, the camera, the eyes and their lids."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from synthforge.cameras.lens import NAMES as LENS
from synthforge.cameras.orbit import camera_at, eg3d_camera, orbit_camera, orbit_direction
from synthforge.errors import ConfigError
from synthforge.scene.config import CameraConfig, PoseConfig
from synthforge.scene.distributions import Stream
from synthforge.types import Camera, SceneParams

FACE_CENTRE = np.array([0.0, -0.012, 0.055])  # m, head frame: what the camera looks at without jitter
MAX_GAZE = math.radians(32)  # beyond it people turn the head


def draw_turn(config: PoseConfig, draw: Stream) -> tuple[Rotation, float]:
    """Rotation of the head against the shoulders, and of the jaw (radians)."""
    names = ("yaw_deg", "pitch_deg", "roll_deg", "jaw_deg")
    yaw, pitch, roll, jaw = (draw(name, getattr(config, name)) for name in names)
    return Rotation.from_euler("YXZ", [yaw, -pitch, -roll], degrees=True), math.radians(jaw)


def draw_camera(
    config: CameraConfig, resolution: int, draw: Stream, turn: Rotation, neck: Float[np.ndarray, " 3"]
) -> Camera:
    """Camera without a lens that looks at a head turned about its `neck` (metres)."""
    fixed = draw.fixed
    if "camera" in fixed:
        return fixed["camera"]
    azimuth, elevation, roll, fov = (
        math.radians(draw(name, distribution))
        for name, distribution in (
            ("azimuth_deg", config.azimuth_deg),
            ("elevation_deg", config.elevation_deg),
            ("camera_roll_deg", config.roll_deg),
            ("field_of_view_deg", config.field_of_view_deg),
        )
    )
    jitter = draw("look_at_jitter", config.look_at_jitter, 3)
    size = (resolution, resolution)
    given = config.distance or config.view_height
    if given is None:
        raise ConfigError("neither distance nor view_height is given", where="scene: camera")
    if "distance" in fixed or (config.distance is not None and "view_height" not in fixed):
        distance = draw("distance", given)
    else:
        distance = draw("view_height", given) / (2 * math.tan(fov / 2))
    if config.convention == "eg3d":
        return _as_stored(eg3d_camera(azimuth, elevation, roll, distance, fov, size, jitter))
    look_at = turn.apply(FACE_CENTRE - neck) + neck + jitter
    if config.around == "head":
        centre = look_at + distance * turn.apply(orbit_direction(azimuth, elevation))
        return _as_stored(camera_at(centre, look_at, roll, fov, size))
    return _as_stored(orbit_camera(azimuth, elevation, roll, distance, fov, look_at, size))


def draw_distortion(config: CameraConfig, draw: Stream) -> Float[np.ndarray, " 5"]:
    """Coefficients of the lens."""
    drawn = {name: d.sample(draw.rng, {}) for name, d in config.lens.items()}
    return np.array([drawn.get(name, 0.0) for name in LENS], np.float32)


def draw_gaze(
    config: PoseConfig,
    draw: Stream,
    camera: Camera,
    turn: Rotation,
    neck: Float[np.ndarray, " 3"],
    eyes: Float[np.ndarray, " 3"],
) -> tuple[float, float]:
    """Azimuth (to the subject's left) and elevation of the gaze in the head, radians.

    `neck`, and `eyes` (their middle), are of the head before its turn, metres.
    """
    aimed = {"gaze_azimuth_deg", "gaze_elevation_deg"} & draw.fixed.keys()
    share = 0.0 if aimed else draw.fixed.get("gaze_at_camera", config.gaze_at_camera)
    at_camera = draw.rng.random() < share
    azimuth = math.radians(draw("gaze_azimuth_deg", config.gaze_azimuth_deg))
    elevation = math.radians(draw("gaze_elevation_deg", config.gaze_elevation_deg))
    if at_camera:
        x, y, z = turn.inv().apply(camera.cam2world[:3, 3] - neck) + neck - eyes
        azimuth, elevation = math.atan2(x, z), math.atan2(y, math.hypot(x, z))
    limit = MAX_GAZE / max(MAX_GAZE, math.hypot(azimuth, elevation))
    return azimuth * limit, elevation * limit


def couple_lids(
    expression: Float[np.ndarray, " e"], names: tuple[str, ...], gaze: tuple[float, float]
) -> None:
    """Lids follow the eyes, in place: full weight of an ARKit eyeLook shape at 30 degrees."""
    azimuth, elevation = (math.degrees(a) / 30.0 for a in gaze)
    moves = {"eyeLookUp": max(elevation, 0), "eyeLookDown": max(-elevation, 0)}
    for side, outward in (("L", azimuth), ("R", -azimuth)):
        sided = moves | {"eyeLookOut": max(outward, 0), "eyeLookIn": max(-outward, 0)}
        if f"eyeBlink_{side}" in names:  # a lid that is down already has less way to go
            sided["eyeLookDown"] *= max(0.0, 1.0 - expression[names.index(f"eyeBlink_{side}")])
        for name, weight in sided.items():
            if f"{name}_{side}" in names:
                expression[names.index(f"{name}_{side}")] = min(weight, 1.0)


def pose_of(
    joints: tuple[str, ...], turn: Rotation, jaw: float, gaze: tuple[float, float]
) -> Float[np.ndarray, "j 3"]:
    """Axis-angle of the named joints."""
    eyes = Rotation.from_euler("YX", [gaze[0], -gaze[1]]).as_rotvec()
    by_name = {"neck": turn.as_rotvec(), "jaw": [jaw, 0, 0], "left_eye": eyes, "right_eye": eyes}
    return np.array([by_name.get(name, np.zeros(3)) for name in joints], np.float32)


def _as_stored(camera: Camera) -> Camera:
    """Rounded as stored, so that a sample re-rendered from its shard is the same sample."""
    intrinsics, cam2world = camera.intrinsics.astype(np.float32), camera.cam2world.astype(np.float32)
    return Camera(intrinsics, cam2world, camera.size)


def with_resolution(params: SceneParams, resolution: int) -> SceneParams:
    """The same scene seen by the same camera at another square resolution."""
    camera = params.camera
    k = camera.intrinsics.copy()
    k[:2] *= resolution / camera.size[0]
    seen = dataclasses.replace(camera, intrinsics=k, size=(resolution, resolution))
    return dataclasses.replace(params, camera=seen)
