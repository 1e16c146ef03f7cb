"""What other packages add to synthforge: backends, heads and layouts, found by their entry points."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from synthforge.errors import ConfigError


def found(group: str) -> dict[str, EntryPoint]:
    """Entry points of `group` ("synthforge.layouts", ...) by name; nothing is imported yet.

    Raises:
        ConfigError: two packages give the same name to different things.
    """
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        if (other := points.setdefault(point.name, point)).value != point.value:
            raise ConfigError(
                f"both {other.value} and {point.value} are called {point.name!r}",
                where=f"entry points {group}",
                fix="uninstall one of the two packages",
            )
    return points


def load(point: EntryPoint) -> Any:
    """The object that an entry point names.

    Raises:
        ConfigError: its package cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:  # importing runs the package's own code, which may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"{point.value} cannot be imported ({reason})",
            where=f"entry point {point.name!r} of {point.group}",
            fix="repair or uninstall the package that adds it",
        ) from error
