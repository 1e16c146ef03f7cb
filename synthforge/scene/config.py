"""What is drawn for each sample, as the YAML file states it; imports nothing heavy."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from synthforge.attributes import ATTRIBUTES, SYNONYMS, Attribute
from synthforge.errors import ConfigError, one_of
from synthforge.scene.distributions import Distribution
from synthforge.scene.expressions import EXPRESSIONS


def _plain(value: Any) -> Distribution:
    return Distribution.from_plain(value, "default")


def _d(value: Any) -> Any:
    return field(default_factory=lambda: _plain(value))


def check_range(name: str, distribution: Distribution, low: float, high: float) -> None:
    """Refuse words, and numbers that can leave [low, high]; a normal, which has no bounds, passes.

    Raises:
        ConfigError: naming `name`.
    """
    if (words := distribution.values) is not None:
        what = f"expected numbers from {low:g} to {high:g}, got the word {words[0]!r}"
        raise ConfigError(what, where=name)
    least, most = distribution.range
    if math.isfinite(least) and math.isfinite(most) and (least < low or most > high):
        raise ConfigError(f"[{least:g}, {most:g}] leaves the possible [{low:g}, {high:g}]", where=name)


def check_attribute(name: str, distribution: Distribution, about: Attribute) -> None:
    """Refuse words and numbers that an attribute cannot have.

    Raises:
        ConfigError: naming `name`, the words or the range, and the nearest word.
    """
    if not about.words:
        check_range(name, distribution, about.low, about.high)
    elif wrong := [word for word in distribution.values or ["a number"] if word not in about.words]:
        raise ConfigError(
            f"unknown value {wrong[0]!r}", where=name, fix=one_of(wrong[0], about.words, SYNONYMS)
        )


def _check(name: str, distribution: Distribution, low: float, high: float) -> None:
    if distribution.references:
        raise ConfigError("`given` is for attributes and shape only", where=name)
    check_range(name, distribution, low, high)


@dataclass(frozen=True)
class CameraConfig:
    """Orbit around the face; degrees and metres. Give `distance`, or `view_height`: the height of
    the world seen at the face, from which and the field of view the distance follows. Azimuth and
    elevation are seen from the shoulders, or `around: head` from the turned head: the angles at which
    the face is then seen.

    `convention: eg3d` reads them as EG3D's camera label does, which Next3D and SynthForge use
    (`cameras.eg3d_camera`): distance in volume units of 0.4 m from the volume's origin.

    `look_at_jitter` is how far beside the face the camera looks, drawn for each axis.
    `lens` draws coefficients of the lens's distortion by name; those not named are 0.
    """

    azimuth_deg: Distribution = _d({"normal": [0, 20]})
    elevation_deg: Distribution = _d({"normal": [0, 8]})
    roll_deg: Distribution = _d({"normal": [0, 5]})
    field_of_view_deg: Distribution = _d({"uniform": [10, 40]})
    distance: Distribution | None = None
    view_height: Distribution | None = _d({"uniform": [0.26, 0.42]})
    look_at_jitter: Distribution = _d({"normal": [0, 0.012]})
    convention: Literal["metric", "eg3d"] = "metric"
    around: Literal["shoulders", "head"] = "shoulders"
    lens: dict[str, Distribution] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("azimuth_deg", self.azimuth_deg, -180, 180)
        _check("elevation_deg", self.elevation_deg, -89, 89)
        _check("roll_deg", self.roll_deg, -180, 180)
        _check("field_of_view_deg", self.field_of_view_deg, 1, 120)
        if (self.distance is None) == (self.view_height is None):
            raise ConfigError("give exactly one of distance and view_height", fix="set the other to null")
        if self.distance is not None:
            _check("distance", self.distance, 0.3, 100)
        if self.view_height is not None:
            _check("view_height", self.view_height, 0.05, 10)
        _check("look_at_jitter", self.look_at_jitter, -0.2, 0.2)
        if self.convention == "eg3d" and self.distance is None:
            fix = "set distance: 2.7 and view_height: null"
            raise ConfigError("eg3d needs a distance", where="convention", fix=fix)
        if self.convention == "eg3d" and self.around == "head":
            raise ConfigError("eg3d's cameras do not follow the head", where="around")
        self._check_lens()

    def _check_lens(self) -> None:
        """Any draw must show each place of the image once; the least k and the largest p are the worst."""
        if not self.lens:
            return
        import numpy as np

        from synthforge.cameras.lens import NAMES, shows

        for name, distribution in self.lens.items():
            if name not in NAMES:
                fix = f"use: {', '.join(NAMES)}"
                raise ConfigError(f"unknown coefficient {name!r}", where="lens", fix=fix)
            _check(f"lens.{name}", distribution, -1, 1)
            if not all(map(math.isfinite, distribution.range)):
                raise ConfigError("needs bounds", where=f"lens.{name}", fix="use uniform or truncated_normal")
        ranges = [self.lens[name].range if name in self.lens else (0.0, 0.0) for name in NAMES]
        worst = [max(map(abs, r)) if n[0] == "p" else r[0] for n, r in zip(NAMES, ranges, strict=True)]
        widest = self.field_of_view_deg.range[1]
        corner = math.sqrt(2) * math.tan(math.radians(widest / 2)) if widest < 180 else math.inf
        if not shows(np.array(worst), corner):
            raise ConfigError(
                f"at a field of view of {widest:g} degrees some draws fold the image over", where="lens",
                fix="take smaller coefficients or a bounded, smaller field_of_view_deg",
            )  # fmt: skip


@dataclass(frozen=True)
class PoseConfig:
    """Head turn against the shoulders, and where the eyes look; degrees. Positive yaw turns to the
    subject's left, positive pitch looks up, positive roll tilts towards the subject's left
    shoulder. `gaze_at_camera` is the share of people who look into the camera."""

    yaw_deg: Distribution = _d({"normal": [0, 12]})
    pitch_deg: Distribution = _d({"normal": [0, 7]})
    roll_deg: Distribution = _d({"normal": [0, 5]})
    jaw_deg: Distribution = _d(0)
    gaze_azimuth_deg: Distribution = _d({"normal": [0, 14]})
    gaze_elevation_deg: Distribution = _d({"normal": [-3, 8]})
    gaze_at_camera: float = 0.45

    def __post_init__(self) -> None:
        for name, limit in [("yaw_deg", 90), ("pitch_deg", 70), ("roll_deg", 60), ("jaw_deg", 45),
                            ("gaze_azimuth_deg", 45), ("gaze_elevation_deg", 45)]:  # fmt: skip
            _check(name, getattr(self, name), -limit, limit)
        if not 0 <= self.gaze_at_camera <= 1:
            raise ConfigError(
                f"{self.gaze_at_camera:g} is no share of people", where="gaze_at_camera", fix="use 0 to 1"
            )


DEFAULT_ATTRIBUTES: dict[str, Any] = {
    "sex": {"categorical": {"female": 0.5, "male": 0.5}},
    "age": {"truncated_normal": [36, 17, 16, 80]},
}


# What a sample can be given besides attributes: the part of the scene ("": itself), and the key there.
_CAMERA = ("azimuth_deg", "elevation_deg", "field_of_view_deg", "distance", "view_height", "look_at_jitter")
FIXABLE: dict[str, tuple[str, str]] = {
    **{f.name: ("pose", f.name) for f in fields(PoseConfig)},
    **{name: ("camera", name) for name in _CAMERA},
    "camera_roll_deg": ("camera", "roll_deg"),
    "expression": ("", "expression"),
    "expression_intensity": ("", "expression_intensity"),
}


@dataclass(frozen=True)
class SceneConfig:
    """What is drawn for each sample.

    `shape` is drawn per coefficient, independently. `expression` is either numbers, drawn per
    coefficient (standard scores; heads with ARKit weights take `WEIGHT_PER_SCORE` of the positive
    ones), or words: names of `scene.expressions.EXPRESSIONS`, of `expression_intensity` (0 to 1; null: as
    the words' own ranges have it). `attributes` are drawn in the
    order given, so that `given` may refer to earlier ones; `sex` and `age` also set the shape axes
    of those names where the head has them. Beyond the first `shape_axes` and `expression_axes`
    coefficients all are 0 (null: none is).

    Samples i of equal i // `views_per_identity` show the same person (shape, attributes, latent),
    those of equal i // `views_per_expression` also in the same expression and pose.
    """

    shape: Distribution = _d({"truncated_normal": [0, 1, -2.5, 2.5]})
    expression: Distribution = _d("neutral")
    expression_intensity: Distribution | None = None
    camera: CameraConfig = field(default_factory=CameraConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    attributes: dict[str, Distribution] = field(
        default_factory=lambda: {k: _plain(v) for k, v in DEFAULT_ATTRIBUTES.items()},
        metadata={"known": ATTRIBUTES},
    )
    shape_axes: int | None = None
    expression_axes: int | None = None
    views_per_identity: int = 1
    views_per_expression: int = 1

    def __post_init__(self) -> None:
        for name, least in (("shape_axes", 0), ("expression_axes", 0),
                            ("views_per_identity", 1), ("views_per_expression", 1)):  # fmt: skip
            if (value := getattr(self, name)) is not None and value < least:
                raise ConfigError(f"{value} is less than {least}", where=name)
        if self.views_per_identity % self.views_per_expression:
            raise ConfigError(
                f"{self.views_per_expression} does not divide views_per_identity, {self.views_per_identity}",
                where="views_per_expression",
            )
        if self.shape.values is not None:
            raise ConfigError("expected numbers, got words", where="shape")
        if self.expression.references:
            raise ConfigError("`given` is for attributes and shape only", where="expression")
        for name in self.expression.values or ():
            if name not in EXPRESSIONS:
                fix = one_of(name, EXPRESSIONS, SYNONYMS)
                raise ConfigError(f"unknown expression {name!r}", where="expression", fix=fix)
        if self.expression_intensity is not None:
            if self.expression.values is None:
                raise ConfigError("is for expressions by name", where="expression_intensity")
            _check("expression_intensity", self.expression_intensity, 0, 1)
        for name, distribution in self.attributes.items():  # words first: others may be `given` them
            if name in ATTRIBUTES:
                check_attribute(f"attributes: {name}", distribution, ATTRIBUTES[name])
        seen: list[str] = []
        for name, distribution in self.attributes.items():
            self._check_given(name, distribution, seen)
            seen.append(name)

    def _check_given(self, name: str, distribution: Distribution, seen: list[str]) -> None:
        if distribution.kind != "given":
            return
        on, cases = distribution.args
        if on not in seen:
            raise ConfigError(f"given {on!r}, which is not drawn before it", where=f"attributes: {name}",
                              fix=f"list {on} earlier")  # fmt: skip
        values = self.attributes[on].values
        if missing := [v for v in values or () if v not in cases]:
            raise ConfigError(f"no case for {on} = {missing[0]!r}", where=f"attributes: {name}")
        if values is None:
            self._check_bands(name, on, list(cases))
        for case in cases.values():
            self._check_given(name, case, seen)

    def _check_bands(self, name: str, on: str, cases: list[str]) -> None:
        """The least of each band of a number must be one, and the lowest band must hold its least."""
        where, least = f"attributes: {name}", self.attributes[on].range[0]
        try:
            bounds = [float(case) for case in cases]
        except ValueError:
            raise ConfigError(
                f"given {on!r}, which is a number", where=where, fix="name each case by the least of its band"
            ) from None
        if not bounds or math.isfinite(least) and min(bounds) > least or not all(map(math.isfinite, bounds)):
            raise ConfigError(f"no case for {on} = {least:g}", where=where, fix="begin the lowest band there")
