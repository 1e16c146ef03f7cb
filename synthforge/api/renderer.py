"""`synthforge.Renderer`: one face at a time, with what was asked for and its labels."""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from synthforge.api.config import resolve
from synthforge.attributes import ATTRIBUTES
from synthforge.errors import ConfigError, nearest, one_of
from synthforge.pipeline.source import SceneSource
from synthforge.scene.attributes import check_attributes
from synthforge.scene.config import PoseConfig, SceneConfig, check_range
from synthforge.scene.distributions import Distribution
from synthforge.types import Camera, Frame

# Keywords of the pose, the camera and the face besides attributes, with the key of the configuration.
POSE = {f.name: f.name for f in fields(PoseConfig)}
CAMERA = {
    "azimuth_deg": "azimuth_deg",
    "elevation_deg": "elevation_deg",
    "camera_roll_deg": "roll_deg",
    "field_of_view_deg": "field_of_view_deg",
    "distance": "distance",
    "view_height": "view_height",
    "look_at_jitter": "look_at_jitter",
}
FACE = ("expression", "expression_intensity")


class Renderer:
    """Draws faces of a configuration, with any of their attributes chosen.

    Args:
        head: name of a head model; default: the configuration's.
        backend: name of a backend; default: the configuration's.
        resolution: image side in pixels.
        config: what is drawn where nothing is asked for: a name in configs/generate, or a YAML file.
        seed: another seed, other people; default: the configuration's.
        device: of neural backends: "cpu", "cuda", "cuda:1", ...
        overrides: further keys of the configuration, as `--set` takes them.
    Raises:
        ConfigError: an unknown name, key or value.
        AssetError: a file that the head or the backend needs is missing.
    """

    def __init__(
        self,
        head: str | None = None,
        backend: str | None = None,
        resolution: int = 256,
        config: Path | str = "default",
        seed: int | None = None,
        device: str = "auto",
        **overrides: Any,
    ):
        chosen = {"head": head, "backend": backend, "resolution": resolution, "seed": seed}
        self.config = resolve(config, chosen | overrides)
        self._source = SceneSource(self.config, device)
        self._attempt = lru_cache(maxsize=4096)(self._accepted)

    @property
    def keywords(self) -> tuple[str, ...]:
        """What `render` takes by name, besides `index` and `camera`."""
        return (*POSE, *CAMERA, *FACE, *(self.config.scene.attributes | ATTRIBUTES))

    def render(self, index: int = 0, *, camera: Camera | None = None, **wanted: Any) -> Frame:
        """Sample `index` of the configuration with what is asked for, and everything else as it was drawn.

        The same index is the same person in the same place: attributes that are not named keep their
        values, unless the configuration has them depend on one that is (`hair_color` given `age`). Without
        any keyword this is sample `index` that `generate` makes.

        Args:
            index: which person.
            camera: a camera of your own, in place of the keywords of the camera.
            wanted: attributes (`synthforge attributes` lists them), `expression` (a word) and
                `expression_intensity` (0 to 1); turn of the head `yaw_deg`, `pitch_deg`, `roll_deg`,
                `jaw_deg`; `gaze_azimuth_deg`, `gaze_elevation_deg`, or `gaze_at_camera` (0 or 1); camera
                `azimuth_deg`, `elevation_deg`, `camera_roll_deg`, `field_of_view_deg`, `look_at_jitter` (m),
                and `distance` (m) or `view_height` (m). Signs of angles as in docs/api.md.
        Raises:
            ConfigError: an unknown keyword, or a value that is not possible.
        """
        fixed = {name: v.item() if isinstance(v, np.generic) else v for name, v in wanted.items()}
        self._check(index, fixed, camera)
        if camera is not None:
            fixed["camera"] = camera
        attempt = self._attempt(index)
        return self._source.render(self._source.sampler.sample(self.config.seed, index, attempt, fixed))

    def _accepted(self, index: int) -> int:
        """The attempt that `generate` takes for an index."""
        return len(self._source(index).rejected)

    def _check(self, index: int, fixed: Mapping[str, Any], camera: Camera | None) -> None:
        """Hold what is asked for to what a configuration may say."""
        if index < 0:
            raise ConfigError(f"no sample {index}", where="render: index", fix="count from 0")
        scene, known = self.config.scene, self.keywords
        for name in fixed:
            if name not in known:
                close = nearest(name, (*known, "index", "camera"))
                fix = "`synthforge attributes` lists the attributes, docs/api.md the rest"
                raise ConfigError(f"unknown keyword {name!r}{close}", where="render", fix=fix)
        taken = [name for name in fixed if name in CAMERA]
        if camera is not None and taken:
            raise ConfigError("is given beside a whole camera", where=f"render: {taken[0]}", fix="give one")
        if {"distance", "view_height"} <= fixed.keys():
            fix = "leave one out: it follows from the other and the field of view"
            raise ConfigError("is given beside a distance", where="render: view_height", fix=fix)
        for name in sorted(fixed, key=known.index):
            try:
                scene = _with(scene, name, fixed[name])
            except ConfigError as error:
                raise ConfigError(error.what, where=f"render: {name}", fix=error.fix) from error
        replace(self.config, scene=scene)


def _with(scene: SceneConfig, name: str, value: Any) -> SceneConfig:
    """A scene with a constant in place of what it draws under a keyword; attributes are only checked.

    Raises:
        ConfigError: the value is not possible there.
    """
    if name == "gaze_at_camera":
        if not isinstance(value, bool | int | float):
            raise ConfigError(f"expected 0 or 1, got {value!r}", where=name)
        return replace(scene, pose=replace(scene.pose, gaze_at_camera=float(value)))
    constant = Distribution.from_plain(value, name)
    if constant.kind != "constant":
        raise ConfigError(f"expected a number or a word, got {value!r}", where=name)
    if name in POSE:
        return replace(scene, pose=replace(scene.pose, **{name: constant}))
    if name in CAMERA:
        other = {"distance": "view_height", "view_height": "distance"}.get(name)
        free = {other: None} if other else {}
        return replace(scene, camera=replace(scene.camera, **{CAMERA[name]: constant} | free))
    if name == "expression":
        if constant.values is None:
            raise ConfigError(f"expected a word, got {value!r}", where=name)
        return replace(scene, expression=constant)
    if name == "expression_intensity":
        return replace(scene, expression_intensity=constant)
    if name in ATTRIBUTES:
        check_attributes({name: constant}, ATTRIBUTES)
    elif words := scene.attributes[name].values:
        if value not in words:
            raise ConfigError(f"unknown value {value!r}", where=name, fix=one_of(value, words))
    else:
        check_range(name, constant, *scene.attributes[name].range)
    return scene
