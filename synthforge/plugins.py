"""Things found by name: what synthforge brings itself, and what other packages add by entry points."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from synthforge.errors import ConfigError, one_of


@dataclass(frozen=True)
class Registry:
    """All things of one `kind`: `builtin` (name -> "module:object") and the entry points of `group`.

    Nothing is imported before `load`.
    """

    kind: str
    group: str
    builtin: Mapping[str, str]

    def points(self) -> dict[str, EntryPoint]:
        """Entry points by name, those of synthforge first."""
        own = {name: EntryPoint(name, value, self.group) for name, value in self.builtin.items()}
        return own | {name: point for name, point in found(self.group).items() if name not in own}

    def package(self, name: str) -> str:
        """`NAME VERSION` of the package that adds a thing, empty for one of synthforge's own."""
        dist = self.points()[name].dist
        return f"{dist.name} {dist.version}" if dist else ""

    def check(self, name: str) -> None:
        """
        Raises:
            ConfigError: nothing has that name; the message lists what there is.
        """
        if name not in (points := self.points()):
            raise ConfigError(f"unknown {self.kind} {name!r}", where=self.kind, fix=one_of(name, points))

    def load(self, name: str) -> Any:
        """The object of that name.

        Raises:
            ConfigError: nothing has that name, or its package cannot be imported.
        """
        self.check(name)
        return load(self.points()[name])


def found(group: str) -> dict[str, EntryPoint]:
    """Entry points of `group` ("synthforge.layouts", ...) by name; nothing is imported yet."""
    return {point.name: point for point in _announced(tuple(sys.path)).select(group=group)}


@cache
def _announced(path: tuple[str, ...]) -> Any:
    """Entry points of the packages on `path`, where Python looks: read once, for it takes a while."""
    return entry_points()


def load(point: EntryPoint) -> Any:
    """The object that an entry point names.

    Raises:
        ConfigError: another thing has the same name, or its package cannot be imported.
    """
    same = _announced(tuple(sys.path)).select(group=point.group, name=point.name)
    if others := {p.value: p for p in same if p.value != point.value}:
        other = next(iter(others.values()))
        raise ConfigError(
            f"both {other.value} and {point.value} are called {point.name!r}",
            where=f"entry points {point.group}",
            fix=f"uninstall the package {other.dist.name if other.dist else other.value}, or rename one",
        )
    try:
        return point.load()
    except Exception as error:  # importing runs the package's own code, which may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"{point.value} cannot be imported ({reason})",
            where=f"entry point {point.name!r} of {point.group}",
            fix="repair or uninstall the package that adds it",
        ) from error
