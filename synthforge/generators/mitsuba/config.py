"""Settings of the path tracer."""

from dataclasses import dataclass
from typing import Literal

from synthforge.errors import ConfigError
from synthforge.generators.raster.plugin import RasterConfig


@dataclass(frozen=True)
class PathtraceConfig(RasterConfig):
    """Settings of the path tracer, and those of the embedded renderer.

    `spp`: light paths per pixel. `bounces`: how often a path may be reflected. `variant` of Mitsuba:
    `scalar_rgb` runs everywhere; `llvm_ad_rgb` is faster and needs LLVM 19.
    """

    spp: int = 64
    bounces: int = 8
    variant: Literal["scalar_rgb", "llvm_ad_rgb"] = "scalar_rgb"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, (low, high) in {"spp": (4, 65536), "bounces": (1, 64)}.items():
            if not low <= getattr(self, key) <= high:
                raise ConfigError(f"{getattr(self, key)} is not in [{low}, {high}]", where=key)
