"""SceneConfig + (seed, index) -> SceneParams: who, which face, from where, in which light."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from synthforge.attributes import ATTRIBUTES
from synthforge.cameras.lens import NAMES as LENS
from synthforge.cameras.project import camera_at, eg3d_camera, orbit_camera, orbit_direction
from synthforge.errors import ConfigError
from synthforge.heads.anthro import NamedPoints
from synthforge.heads.base import HeadModel
from synthforge.heads.measure import disproportion
from synthforge.rng import sample_rng
from synthforge.scene.config import SceneConfig
from synthforge.scene.distributions import Distribution, Value
from synthforge.scene.expressions import EXPRESSIONS, draw_expression
from synthforge.types import Camera, SceneParams

FACE_CENTRE = np.array([0.0, -0.012, 0.055])  # m, head frame: what the camera looks at without jitter
WEIGHT_PER_SCORE = 0.22  # ARKit weight of one standard score, where expressions are drawn as numbers
MAX_GAZE = math.radians(32)  # beyond it people turn the head


@dataclass(frozen=True)
class Stream:
    """Random numbers of one stream, and the values that replace what is drawn from it."""

    rng: np.random.Generator
    fixed: Mapping[str, Any]

    def __call__(self, name: str, distribution: Distribution, size: int | None = None) -> Any:
        """The fixed value of that name, or a draw; the stream goes on in the same way after both."""
        drawn = distribution.sample(self.rng, {}, size)
        if name not in self.fixed:
            return drawn
        return self.fixed[name] if size is None else np.full(size, float(self.fixed[name]))


class SceneSampler:
    """Draws `SceneParams` for one head; a pure function of (config, seed, index, attempt).

    `latent` is the length of a neural generator's code, which is standard normal.

    Raises:
        ConfigError: the configuration names expressions and the head has none by name.
    """

    def __init__(self, config: SceneConfig, head: HeadModel, resolution: int, latent: int = 0):
        self.config, self.head, self.resolution, self.latent = config, head, resolution, latent
        self._check_words(config.expression.values or [])
        self._covariance = head.shape_cholesky @ head.shape_cholesky.T
        self._points = NamedPoints(head) if head.name == "anthro" else None
        self._joints = head.joints.numpy().astype(np.float64)
        self._joint_deltas = head.joint_shape_deltas.numpy().astype(np.float64)

    def _check_words(self, words: list[str]) -> None:
        if any(word != "neutral" for word in words) and not is_arkit(self.head):
            raise ConfigError(
                f"head {self.head.name!r} has no expressions by name, it takes numbers",
                where="scene.expression",
                fix="use --config paper, or for example --set 'scene.expression={uniform: [-2, 2]}'",
            )

    def sample(
        self, seed: int, index: int, attempt: int = 0, fixed: Mapping[str, Any] = MappingProxyType({})
    ) -> SceneParams:
        """Parameters of one sample; `attempt` counts redraws of a rejected one.

        What several samples share is that of the first of them, and is not redrawn.

        `fixed` holds values that replace what is drawn: attributes, `expression`, `expression_intensity`,
        keys of the pose and the camera (`camera_roll_deg` for the camera's roll), or a whole `camera`.
        Everything else stays as it is, unless it is `given` a fixed attribute and has to change
        (`Distribution.redrawn`), follows from one (the shape, from sex and age), or follows the camera (the
        gaze).
        """

        def stream(name: str, shared_by: int = 1) -> Stream:
            full_name = f"{name}/{attempt}" if attempt and shared_by == 1 else name
            return Stream(sample_rng(seed, index - index % shared_by, full_name), fixed)

        one_person, one_face = self.config.views_per_identity, self.config.views_per_expression
        attributes = self._attributes(stream("attributes", one_person))
        shape = self._shape(stream("shape", one_person), attributes)
        latent = stream("latent", one_person).rng.standard_normal(self.latent).astype(np.float32)
        expression, words = self._expression(stream("expression", one_face))
        attributes |= words
        turn, jaw = self._head_turn(stream("pose", one_face))
        joints = self._joints + np.tensordot(shape, self._joint_deltas, 1)
        camera = self._camera(stream("camera"), turn, joints)
        if "camera" not in fixed:
            camera = dataclasses.replace(camera, distortion=self._distortion(stream("lens")))
        seen_by = camera if one_face == 1 else self._camera(stream("camera", one_face), turn, joints)
        gaze = self._gaze(stream("gaze", one_face), seen_by, turn, joints)
        self._couple_lids(expression, gaze)
        pose = self._pose(turn, jaw, gaze)
        return SceneParams(seed, index, shape, expression, pose, camera, attributes, latent, attempt)

    def _attributes(self, draw: Stream) -> dict[str, Value]:
        rng, fixed = draw.rng, draw.fixed
        own: dict[str, Value] = {}  # as drawn if nothing were fixed: the stream goes on from there
        drawn: dict[str, Value] = {}
        for i, (name, distribution) in enumerate(self.config.attributes.items()):
            own[name] = _rounded(distribution.sample(rng, own))
            drawn[name] = own[name]
            if name in fixed:
                drawn[name] = _rounded(fixed[name])
            elif drawn != own:
                apart = np.random.Generator(rng.bit_generator.jumped(i + 1))
                drawn[name] = _rounded(distribution.redrawn(own[name], own, drawn, apart))
        return drawn | {name: _rounded(fixed[name]) for name in fixed if name in ATTRIBUTES}

    def _shape(self, draw: Stream, attributes: dict[str, Value]) -> np.ndarray:
        """Correlated coefficients, conditioned on sex and age where the head has such axes.

        Source: conditional mean of a Gaussian (Bishop 2006, eq. 2.81), added to the draw.
        """
        rng = draw.rng
        z = self.config.shape.sample(rng, attributes, self.head.n_shape)
        if self.config.shape_axes is not None:
            z[self.config.shape_axes :] = 0
        shape = self.head.shape_cholesky @ z
        mean = np.zeros_like(shape)
        wanted = {}
        if "sex" in self.head.shape_names and "sex" in attributes:
            wanted["sex"] = (1.0 if attributes["sex"] == "male" else -1.0) + rng.normal(0, 0.25)
        if "age" in self.head.shape_names and "age" in attributes:
            wanted["age"] = (float(attributes["age"]) - 40.0) / 17.0
        young = childhood(attributes)
        if "child" in self.head.shape_names and young:
            wanted["child"] = 5.0 * young + rng.normal(0, 0.5)
        if wanted:
            axes = [self.head.shape_names.index(name) for name in wanted]
            cov = self._covariance
            gain = cov[:, axes] @ np.linalg.inv(cov[np.ix_(axes, axes)])
            mean = gain @ np.array(list(wanted.values()))
            shape = shape + mean - gain @ shape[axes]
        if not young:
            shape = self._in_proportion(mean, shape - mean)
        return shape.astype(np.float32)

    def _in_proportion(self, mean: np.ndarray, own: np.ndarray) -> np.ndarray:
        """`mean` plus as much of an adult's `own` departure as keeps the face within human proportions."""
        share = 1.0
        while self._points and share > 0.3 and disproportion(self._points.of(mean + share * own)) > 0:
            share -= 0.05
        return mean + share * own

    def _expression(self, draw: Stream) -> tuple[np.ndarray, dict[str, Value]]:
        """Coefficients, and as attributes the word and the intensity they were drawn from."""
        rng, fixed = draw.rng, draw.fixed
        if self.config.expression.values is not None or "expression" in fixed:
            word, intensity = draw("expression", self.config.expression), None
            self._check_words([word])
            words: dict[str, Value] = {"expression": word}
            if self.config.expression_intensity is not None:
                intensity = self.config.expression_intensity.sample(rng, {}) if EXPRESSIONS[word] else 0.0
            intensity = fixed.get("expression_intensity", intensity)
            if intensity is not None:
                words["expression_intensity"] = _rounded(intensity)
            return draw_expression(word, self.head.expression_names, rng, intensity), words
        scores = self.config.expression.sample(rng, {}, self.head.n_expression)
        if self.config.expression_axes is not None:
            scores[self.config.expression_axes :] = 0
        if is_arkit(self.head):  # weights in [0, 1] with ARKit's names
            scores = np.clip(WEIGHT_PER_SCORE * scores, 0, 1)
            scores[[name == "mouthClose" for name in self.head.expression_names]] = 0  # needs an open jaw
        return scores.astype(np.float32), {}

    def _head_turn(self, draw: Stream) -> tuple[Rotation, float]:
        names = ("yaw_deg", "pitch_deg", "roll_deg", "jaw_deg")
        yaw, pitch, roll, jaw = (draw(name, getattr(self.config.pose, name)) for name in names)
        return Rotation.from_euler("YXZ", [yaw, -pitch, -roll], degrees=True), math.radians(jaw)

    def _camera(self, draw: Stream, turn: Rotation, joints: np.ndarray) -> Camera:
        config, fixed = self.config.camera, draw.fixed
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
        size = (self.resolution, self.resolution)
        if "distance" in fixed or (config.distance is not None and "view_height" not in fixed):
            distance = draw("distance", config.distance or config.view_height)
        else:
            height = draw("view_height", config.view_height or config.distance)
            distance = height / (2 * math.tan(fov / 2))
        if config.convention == "eg3d":
            return _as_stored(eg3d_camera(azimuth, elevation, roll, distance, fov, size, jitter))
        neck = joints[self.head.joint_names.index("neck")]
        look_at = turn.apply(FACE_CENTRE - neck) + neck + jitter
        if config.around == "head":
            centre = look_at + distance * turn.apply(orbit_direction(azimuth, elevation))
            return _as_stored(camera_at(centre, look_at, roll, fov, size))
        return _as_stored(orbit_camera(azimuth, elevation, roll, distance, fov, look_at, size))

    def _distortion(self, draw: Stream) -> np.ndarray:
        drawn = {name: d.sample(draw.rng, {}) for name, d in self.config.camera.lens.items()}
        return np.array([drawn.get(name, 0.0) for name in LENS], np.float32)

    def _gaze(self, draw: Stream, camera: Camera, turn: Rotation, joints: np.ndarray) -> tuple[float, float]:
        """Azimuth (to the subject's left) and elevation of the gaze in the head, radians."""
        pose = self.config.pose
        aimed = {"gaze_azimuth_deg", "gaze_elevation_deg"} & draw.fixed.keys()
        share = 0.0 if aimed else draw.fixed.get("gaze_at_camera", pose.gaze_at_camera)
        at_camera = draw.rng.random() < share
        azimuth = math.radians(draw("gaze_azimuth_deg", pose.gaze_azimuth_deg))
        elevation = math.radians(draw("gaze_elevation_deg", pose.gaze_elevation_deg))
        if at_camera:
            names = self.head.joint_names
            neck = joints[names.index("neck")]
            eyes = 0.5 * (joints[names.index("left_eye")] + joints[names.index("right_eye")])
            x, y, z = turn.inv().apply(camera.cam2world[:3, 3] - neck) + neck - eyes
            azimuth, elevation = math.atan2(x, z), math.atan2(y, math.hypot(x, z))
        limit = MAX_GAZE / max(MAX_GAZE, math.hypot(azimuth, elevation))
        return azimuth * limit, elevation * limit

    def _couple_lids(self, expression: np.ndarray, gaze: tuple[float, float]) -> None:
        """Lids follow the eyes: full weight of an ARKit eyeLook shape at 30 degrees."""
        azimuth, elevation = (math.degrees(a) / 30.0 for a in gaze)
        moves = {"eyeLookUp": max(elevation, 0), "eyeLookDown": max(-elevation, 0)}
        names = self.head.expression_names
        for side, outward in (("L", azimuth), ("R", -azimuth)):
            sided = moves | {"eyeLookOut": max(outward, 0), "eyeLookIn": max(-outward, 0)}
            if f"eyeBlink_{side}" in names:  # a lid that is down already has less way to go
                sided["eyeLookDown"] *= max(0.0, 1.0 - expression[names.index(f"eyeBlink_{side}")])
            for name, weight in sided.items():
                if f"{name}_{side}" in names:
                    expression[names.index(f"{name}_{side}")] = min(weight, 1.0)

    def _pose(self, turn: Rotation, jaw: float, gaze: tuple[float, float]) -> np.ndarray:
        eyes = Rotation.from_euler("YX", [gaze[0], -gaze[1]]).as_rotvec()
        by_name = {"neck": turn.as_rotvec(), "jaw": [jaw, 0, 0], "left_eye": eyes, "right_eye": eyes}
        return np.array([by_name.get(n, np.zeros(3)) for n in self.head.joint_names], np.float32)


def _rounded(value: Value) -> Value:
    """A word, or a number as it will be stored."""
    return value if isinstance(value, str) else float(np.float32(value))


def childhood(attributes: dict[str, Value]) -> float:
    """0 from 16 years on, 1 at 6: how far a face still is from an adult's, as the axis `child` counts it."""
    return max(0.0, (16.0 - float(attributes.get("age", 40.0))) / 10.0)


def is_arkit(head: HeadModel) -> bool:
    """Whether the head's expressions are weights with ARKit's names."""
    return "jawOpen" in head.expression_names


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
