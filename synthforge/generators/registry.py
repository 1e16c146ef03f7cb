"""Names of the backends and where each comes from; everything else asks here."""

from dataclasses import is_dataclass

from synthforge.errors import ConfigError
from synthforge.generators.base import Backend
from synthforge.plugins import Registry

BACKENDS = Registry(
    "backend",
    "synthforge.backends",
    {
        "raster": "synthforge.generators.raster.plugin:Raster",
        "pathtrace": "synthforge.generators.mitsuba.plugin:Pathtrace",
        "next3d": "synthforge.generators.next3d.plugin:Next3d",
    },
)
DEFAULT = "raster"


def backend_class(name: str) -> type[Backend]:
    """Backend by name, not built yet.

    Raises:
        ConfigError: there is none of that name, or its package is broken.
    """
    found = BACKENDS.load(name)
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise ConfigError(
            f"{found!r} is no subclass of synthforge.generators.base.Backend", where=f"backend {name}",
            fix="repair or uninstall the package that adds it",
        )  # fmt: skip
    if not is_dataclass(found.Config):
        fix = "repair or uninstall the package that adds it"
        raise ConfigError("its Config is no dataclass", where=f"backend {name}", fix=fix)
    return found
