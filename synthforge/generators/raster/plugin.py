"""The embedded renderer as a backend."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from synthforge.attributes import ATTRIBUTES
from synthforge.errors import ConfigError
from synthforge.generators.base import Backend, Capabilities

if TYPE_CHECKING:
    import numpy

    import synthforge.types


@dataclass(frozen=True)
class RasterConfig:
    """Settings of the embedded renderer.

    `supersample`: image samples per pixel along each axis (labels have their own, fixed density).
    `backgrounds`, `environments`: folders of the user's images, or null for procedural ones.
    """

    supersample: int = 2
    backgrounds: Path | None = None
    environments: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.supersample <= 8:
            raise ConfigError(f"{self.supersample} is not in [1, 8]", where="supersample")


class Raster(Backend):
    """The embedded renderer: every attribute, in a moment."""

    Config: ClassVar[type] = RasterConfig
    capabilities = Capabilities(
        ATTRIBUTES, lens=True, soft_masks=("hair", "facial_hair", "eyeglasses", "headwear")
    )

    @cached_property
    def renderer(self) -> Any:
        from synthforge.generators.raster.backend import RasterGenerator

        return RasterGenerator(**vars(self.config))

    @property
    def assets(self) -> dict[str, str]:
        return self.renderer.assets

    def draw(
        self, params: Sequence["synthforge.types.SceneParams"], vertices: "numpy.ndarray"
    ) -> list["synthforge.types.Render"]:
        return [self.renderer.render(self.head, p, v) for p, v in zip(params, vertices, strict=True)]
