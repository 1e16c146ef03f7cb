"""Everything that decides a data set, as one dataclass. Imports nothing heavy: mistakes are told fast."""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from synthforge.attributes import ATTRIBUTES
from synthforge.errors import ConfigError
from synthforge.generators.mitsuba.tracer import PathtraceConfig
from synthforge.generators.next3d.config import NeuralConfig
from synthforge.heads.registry import check_head
from synthforge.scene.attributes import check_attributes
from synthforge.scene.config import SceneConfig


@dataclass(frozen=True)
class GenerateConfig:
    """Everything that decides a sample, besides its index, and how samples are stored.

    The number of samples is no part of it, so that a finished data set can be extended.
    `supersample`: image samples per pixel along each axis (labels have their own, fixed density).
    `backgrounds`, `environments`: folders of the user's images, or null for procedural ones.
    `pathtrace`: settings of the backend of that name.
    `neural`: settings of the backend next3d. What its people look like is decided by their latent
    codes: it draws no attributes, and takes heads without a turn of their own.
    A draw is rejected, and drawn again, where fewer than `min_landmarks` of the 68 landmarks lie
    in the image or the landmarks' bounding box is smaller than `min_face_size` of the image side.
    """

    KIND: ClassVar = "generate"

    name: str = "default"
    head: str = "anthro"
    backend: Literal["raster", "pathtrace", "next3d"] = "raster"
    seed: int = 0
    resolution: int = 512
    supersample: int = 2
    shard_size: int = 1024
    codec: Literal["jpeg", "png", "raw"] = "jpeg"
    normals: bool = True
    segmentation_bare: bool = True
    soft_masks: bool = True
    landmarks_dense: bool = True
    backgrounds: str | None = None
    environments: str | None = None
    min_landmarks: int = 40
    min_face_size: float = 0.1
    scene: SceneConfig = field(default_factory=SceneConfig)
    pathtrace: PathtraceConfig = field(default_factory=PathtraceConfig)
    neural: NeuralConfig = field(default_factory=NeuralConfig)

    def __post_init__(self) -> None:
        limits = {"resolution": (32, 4096), "supersample": (1, 8), "shard_size": (1, 1 << 20)}
        limits |= {"min_landmarks": (0, 68), "min_face_size": (0, 1), "seed": (0, (1 << 63) - 1)}
        for key, (low, high) in limits.items():
            if not low <= getattr(self, key) <= high:
                raise ConfigError(f"{getattr(self, key)} is not in [{low}, {high}]", where=key)
        check_head(self.head)
        check_attributes(self.scene.attributes, ATTRIBUTES)
        if self.scene.camera.lens and self.backend != "raster":
            raise ConfigError(
                f"the backend {self.backend} has no lens", where="scene.camera.lens",
                fix="use the backend raster",
            )  # fmt: skip
        if self.backend == "next3d":
            for key in ("yaw_deg", "pitch_deg", "roll_deg"):
                if getattr(self.scene.pose, key).range != (0.0, 0.0):
                    raise ConfigError(
                        "the backend next3d takes heads without a turn", where=f"scene.pose.{key}",
                        fix="set it to 0 and turn the camera, or use --config paper",
                    )  # fmt: skip
            object.__setattr__(self, "scene", replace(self.scene, attributes={}))
