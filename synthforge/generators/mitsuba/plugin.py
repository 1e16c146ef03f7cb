"""The path tracer as a backend."""

from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from synthforge.generators.mitsuba.config import PathtraceConfig
from synthforge.generators.raster.plugin import Raster


class Pathtrace(Raster):
    """The embedded renderer's scenes, their light followed by Mitsuba."""

    Config: ClassVar[type] = PathtraceConfig
    capabilities = replace(Raster.capabilities, lens=False)

    @cached_property
    def renderer(self) -> Any:
        from synthforge.generators.mitsuba.backend import PathtraceGenerator

        return PathtraceGenerator(self.config)
