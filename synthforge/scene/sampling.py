"""SceneConfig + (seed, index) -> SceneParams: who, which face, from where, in which light."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from synthforge.errors import ConfigError
from synthforge.heads.anthro import NamedPoints
from synthforge.heads.base import HeadModel
from synthforge.heads.measure import disproportion
from synthforge.rng import sample_rng
from synthforge.scene.config import FIXABLE, SceneConfig
from synthforge.scene.distributions import Stream, Value
from synthforge.scene.expressions import EXPRESSIONS, draw_expression
from synthforge.scene.view import couple_lids, draw_camera, draw_distortion, draw_gaze, draw_turn, pose_of
from synthforge.types import Camera, SceneParams

WEIGHT_PER_SCORE = 0.22  # ARKit weight of one standard score, where expressions are drawn as numbers


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
        self._neck_and_eyes = [head.joint_names.index(name) for name in ("neck", "left_eye", "right_eye")]

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
        turn, jaw = draw_turn(self.config.pose, stream("pose", one_face))
        joints = self._joints + np.tensordot(shape, self._joint_deltas, 1)
        neck, *eyes = joints[self._neck_and_eyes]

        def camera_of(draw: Stream) -> Camera:
            return draw_camera(self.config.camera, self.resolution, draw, turn, neck)

        camera = camera_of(stream("camera"))
        seen_by = camera if one_face == 1 else camera_of(stream("camera", one_face))
        if "camera" not in fixed:
            distortion = draw_distortion(self.config.camera, stream("lens"))
            camera = dataclasses.replace(camera, distortion=distortion)
        middle = 0.5 * (eyes[0] + eyes[1])
        gaze = draw_gaze(self.config.pose, stream("gaze", one_face), seen_by, turn, neck, middle)
        couple_lids(expression, self.head.expression_names, gaze)
        pose = pose_of(self.head.joint_names, turn, jaw, gaze)
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
                far = rng.bit_generator.jumped(i + 1)  # pyright: ignore[reportAttributeAccessIssue]
                apart = np.random.Generator(far)
                drawn[name] = _rounded(distribution.redrawn(own[name], own, drawn, apart))
        others = fixed.keys() - FIXABLE.keys() - {"camera"}
        return drawn | {name: _rounded(fixed[name]) for name in fixed if name in others}

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


def _rounded(value: Value) -> Value:
    """A word, or a number as it will be stored."""
    return value if isinstance(value, str) else float(np.float32(value))


def childhood(attributes: dict[str, Value]) -> float:
    """0 from 16 years on, 1 at 6: how far a face still is from an adult's, as the axis `child` counts it."""
    return max(0.0, (16.0 - float(attributes.get("age", 40.0))) / 10.0)


def is_arkit(head: HeadModel) -> bool:
    """Whether the head's expressions are weights with ARKit's names."""
    return "jawOpen" in head.expression_names


def posed_heads(head: HeadModel, params: Sequence[SceneParams]) -> Float[np.ndarray, "b v 3"]:
    """Vertices of a head with the parameters' coefficients and pose (m, world frame)."""
    with torch.inference_mode():
        names = ("shape", "expression", "pose")
        stacked = [torch.from_numpy(np.stack([getattr(p, name) for p in params])) for name in names]
        return head(*stacked).numpy()
