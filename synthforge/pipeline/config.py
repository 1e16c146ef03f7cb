"""Everything that decides a sample, besides its index; read without loading what draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_type_hints

from synthforge import strict_yaml
from synthforge.attributes import ATTRIBUTES
from synthforge.config import config_path, located, named_configs, read_keys, to_dict
from synthforge.errors import ConfigError
from synthforge.generators.base import Backend
from synthforge.generators.registry import BACKENDS, DEFAULT, backend_class
from synthforge.heads.registry import HEADS, NAMED_CONFIG
from synthforge.scene.attributes import check_attributes, drawn_attributes
from synthforge.scene.config import SceneConfig


@dataclass(frozen=True)
class GenerateConfig:
    """Everything that decides a sample, besides its index, and how samples are stored.

    The number of samples is no part of it, so that a finished data set can be extended.
    `settings`: the backend's own; in YAML they stand under the backend's name, here last.
    Attributes that the backend does not draw are left out of its samples (`drawn`).
    A draw is rejected, and drawn again, where fewer than `min_landmarks` of the 68 landmarks lie
    in the image or the landmarks' bounding box is smaller than `min_face_size` of the image side.
    """

    KIND: ClassVar = "generate"

    name: str = "default"
    head: str = "anthro"
    backend: str = DEFAULT
    seed: int = 0
    resolution: int = 512
    shard_size: int = 1024
    codec: Literal["jpeg", "png", "raw"] = "jpeg"
    normals: bool = True
    segmentation_bare: bool = True
    soft_masks: bool = True
    landmarks_dense: bool = True
    min_landmarks: int = 40
    min_face_size: float = 0.1
    scene: SceneConfig = field(default_factory=SceneConfig)
    settings: Any = field(default_factory=lambda: backend_class(DEFAULT).Config())

    @classmethod
    def plain_keys(cls, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Keys of the YAML form and their types: the backend's settings stand under its name."""
        keys = get_type_hints(cls)
        del keys["settings"], keys["KIND"]
        name = str(plain.get("backend", DEFAULT))
        return keys | ({name: backend_class(name).Config} if name in BACKENDS.points() else {})

    @classmethod
    def more_keys(cls, plain: Mapping[str, Any]) -> list[str]:
        """Full names of the attributes that the backend draws."""
        name = str(plain.get("backend", DEFAULT))
        drawn = backend_class(name).capabilities.attributes if name in BACKENDS.points() else ()
        return [f"scene.attributes.{attribute}" for attribute in drawn]

    @classmethod
    def from_plain(cls, plain: dict, where: str) -> "GenerateConfig":
        """Read the YAML form.

        Raises:
            ConfigError: a key or value is wrong, or belongs to another backend.
        """
        name = str(plain.get("backend", DEFAULT))
        with located(where):
            backend = backend_class(name)
        if others := [key for key in plain if key != name and key in BACKENDS.points()]:
            what = f"settings of the backend {others[0]}, but the backend is {name}"
            fix = f"leave them out, or set backend: {others[0]}"
            raise ConfigError(what, where=f"{where}: {others[0]}", fix=fix)
        values = read_keys(cls.plain_keys(plain), plain, where)
        settings = values.pop(name, None) or backend.Config()
        with located(where):
            return cls(**values, settings=settings)

    def to_plain(self) -> dict[str, Any]:
        """The YAML form, which `from_plain` reads back."""
        plain = {f.name: to_dict(getattr(self, f.name)) for f in fields(self)}
        return plain | {self.backend: plain.pop("settings")}

    def __post_init__(self) -> None:
        limits = {"resolution": (32, 4096), "shard_size": (1, 1 << 20), "min_landmarks": (0, 68)}
        limits |= {"min_face_size": (0, 1), "seed": (0, (1 << 63) - 1)}
        for key, (low, high) in limits.items():
            if not low <= getattr(self, key) <= high:
                raise ConfigError(f"{getattr(self, key)} is not in [{low}, {high}]", where=key)
        if self.name != Path(self.name).name:
            raise ConfigError(
                f"{self.name!r} is no name of a folder", where="name", fix="leave out the slashes"
            )
        HEADS.check(self.head)
        backend = self.backend_class
        if not isinstance(self.settings, backend.Config):
            what = f"{type(self.settings).__name__} are not those of the backend {self.backend}"
            raise ConfigError(what, where="settings", fix=f"give a {backend.Config.__name__}")
        can = backend.capabilities
        check_attributes(self.scene.attributes, {**ATTRIBUTES, **can.attributes})
        if self.scene.camera.lens and not can.lens:
            raise ConfigError(
                f"the backend {self.backend} has no lens", where="scene.camera.lens",
                fix="leave it out, or use another backend",
            )  # fmt: skip
        for key in () if can.head_turn else ("yaw_deg", "pitch_deg", "roll_deg"):
            if getattr(self.scene.pose, key).range != (0.0, 0.0):
                raise ConfigError(
                    f"the backend {self.backend} takes heads without a turn", where=f"scene.pose.{key}",
                    fix=f"set it to 0 and turn the camera, or use --config {backend.named_config}",
                )  # fmt: skip

    @property
    def backend_class(self) -> type[Backend]:
        return backend_class(self.backend)

    @property
    def drawn(self) -> SceneConfig:
        """The scene with the attributes that the backend draws alone."""
        attributes = drawn_attributes(self.scene.attributes, self.backend_class.capabilities.attributes)
        return replace(self.scene, attributes=attributes)

    def not_drawn(self, config: Path | str, settings: Sequence[str]) -> list[str]:
        """Attributes that somebody set though the backend does not draw them.

        Args:
            config: name or path of the configuration; attributes in one that ships are nobody's wish.
            settings: `KEY=VALUE` set over it.
        """
        keys = [part for setting in settings for part in setting.partition("=")[0].split(".")]
        path = config_path(self.KIND, str(config))
        if path not in named_configs(self.KIND).values():
            scene = (strict_yaml.read(path) or {}).get("scene") or {}
            keys += scene.get("attributes") or ()
        left = self.scene.attributes.keys() - self.drawn.attributes.keys()
        return [key for key in dict.fromkeys(keys) if key in left]


def chosen(
    config: str | None, options: Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """Name of the configuration and its overrides (`KEY=VALUE`) by what was asked for.

    Where no configuration is named it is the one that backend or head are made for.

    Args:
        options: values by key; None: not asked for.
    """
    given = {key: value for key, value in options.items() if value is not None}
    backend = backend_class(str(given.get("backend", DEFAULT)))
    if "backend" in given:
        given = backend.presets(given) | given
    if config is None:
        config = NAMED_CONFIG.get(str(given.get("head")), backend.named_config)
    settings = [*(f"{key}={value}" for key, value in given.items()), *overrides]
    settings.sort(key=lambda setting: not setting.startswith("backend="))  # its own keys come with it
    return config, settings
