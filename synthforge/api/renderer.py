"""`synthforge.Renderer`: one face at a time, with what was asked for and its labels."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from synthforge.api.config import resolve
from synthforge.attributes import ATTRIBUTES
from synthforge.config import located
from synthforge.errors import ConfigError, nearest, one_of
from synthforge.pipeline.config import GenerateConfig
from synthforge.pipeline.source import SceneSource
from synthforge.scene.config import FIXABLE, SceneConfig, check_attribute, check_range
from synthforge.scene.distributions import Distribution
from synthforge.types import Camera, Frame


class Renderer:
    """Draws faces of a configuration, with any of their attributes chosen.

    Args:
        head: name of a head model; default: the configuration's.
        backend: name of a backend; default: the configuration's.
        resolution: image side in pixels.
        config: what is drawn where nothing is asked for: a name in configs/generate, or a YAML file; default:
            the one that the backend or the head is made for, `default` for `raster`.
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
        config: Path | str | None = None,
        seed: int | None = None,
        device: str = "auto",
        **overrides: Any,
    ):
        chosen = {"head": head, "backend": backend, "resolution": resolution, "seed": seed}
        given = {key: value for key, value in chosen.items() if value is not None}
        self.__setstate__((resolve(config, given | overrides, device, 0), device))

    def __getstate__(self) -> tuple[GenerateConfig, str]:
        return self.config, self._source.device

    def __setstate__(self, state: tuple[GenerateConfig, str]) -> None:
        self.config, device = state
        self._source = SceneSource(self.config, device)
        self._attempt = lru_cache(maxsize=4096)(self._source.attempt)
        self._attributes = self._source.can.attributes
        self._source.sampler  # noqa: B018 (a head that is missing is named here)

    @property
    def keywords(self) -> tuple[str, ...]:
        """What `render` takes by name, besides `index` and `camera`."""
        return (*FIXABLE, *dict.fromkeys([*self.config.drawn.attributes, *self._attributes]))

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
        sampler, attempt = self._source.sampler, self._attempt(index)
        return self._source.render(sampler.sample(self.config.seed, index, attempt, fixed))

    def _check(self, index: Any, fixed: Mapping[str, Any], camera: Any) -> None:
        """Hold what is asked for to what a configuration may say."""
        if not isinstance(index, int | np.integer) or index < 0:
            raise ConfigError(f"no sample {index!r}", where="render: index", fix="count from 0")
        if not isinstance(camera, Camera | None):
            raise ConfigError(f"expected a Camera, got {camera!r}", where="render: camera")
        scene, known = self.config.scene, self.keywords
        for name in fixed:
            if name not in known:
                if name in ATTRIBUTES:
                    what = f"the backend {self.config.backend} does not draw it"
                    drawn = ", ".join(self._attributes) or "no attributes"
                    raise ConfigError(what, where=f"render: {name}", fix=f"it draws: {drawn}")
                close = nearest(name, (*known, "index", "camera"))
                fix = "`synthforge attributes` lists the attributes, docs/api.md the rest"
                raise ConfigError(f"unknown keyword {name!r}{close}", where="render", fix=fix)
        taken = [name for name in fixed if name in FIXABLE and FIXABLE[name][0] == "camera"]
        if camera is not None and taken:
            raise ConfigError("is given beside a whole camera", where=f"render: {taken[0]}", fix="give one")
        if {"distance", "view_height"} <= fixed.keys():
            fix = "leave one out: it follows from the other and the field of view"
            raise ConfigError("is given beside a distance", where="render: view_height", fix=fix)
        for name in sorted(fixed, key=known.index):
            try:
                if name in FIXABLE:
                    scene = _with(scene, name, fixed[name])
                else:
                    self._check_attribute(name, fixed[name])
            except ConfigError as error:
                raise ConfigError(error.what, where=f"render: {name}", fix=error.fix) from error
        with located("render"):
            replace(self.config, scene=scene)

    def _check_attribute(self, name: str, value: Any) -> None:
        constant = _constant(value)
        if name in self._attributes:
            return check_attribute("", constant, self._attributes[name])
        drawn = self.config.drawn.attributes[name]  # stands for a group that others are given
        if drawn.values is None:
            check_range("", constant, *drawn.range)
        elif value not in drawn.values:
            raise ConfigError(f"unknown value {value!r}", fix=one_of(value, drawn.values))


def _constant(value: Any) -> Distribution:
    constant = Distribution.from_plain(value, "")
    if constant.kind != "constant":
        raise ConfigError(f"expected a number or a word, got {value!r}")
    return constant


def _with(scene: SceneConfig, name: str, value: Any) -> SceneConfig:
    """A scene with a constant in place of what it draws under a keyword.

    Raises:
        ConfigError: the value is not possible there.
    """
    part, key = FIXABLE[name]
    if name == "gaze_at_camera":
        if not isinstance(value, bool | int | float):
            raise ConfigError(f"expected 0 or 1, got {value!r}")
        return replace(scene, pose=replace(scene.pose, gaze_at_camera=float(value)))
    constant = _constant(value)
    if name == "expression" and constant.values is None:
        raise ConfigError(f"expected a word, got {value!r}")
    if not part:
        return replace(scene, **{key: constant})
    free = {"distance": {"view_height": None}, "view_height": {"distance": None}}.get(key, {})
    return replace(scene, **{part: replace(getattr(scene, part), **{key: constant} | free)})
