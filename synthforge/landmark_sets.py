"""Sets of landmarks as data: the dense set of the canonical face, and named layouts made of its points.

`assets/dense_landmarks.json` (written by `scripts/build_dense_landmarks`) holds the dense points,
`assets/landmark_schemes.yaml` the layouts; a user's own YAML file of the same form works alike.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from synthforge import strict_yaml
from synthforge.conventions import N_LANDMARKS
from synthforge.errors import ConfigError

_ASSETS = Path(__file__).parent / "assets"
SCHEMES = _ASSETS / "landmark_schemes.yaml"
PUPILS = ("left_pupil", "right_pupil")  # columns after the dense points
_RANGE = re.compile(r"(?:(?P<group>\w+)\.)?(?P<first>\d+)(?:-(?P<last>\d+))?$")


@dataclass(frozen=True)
class DenseSet:
    """The dense points.

    `points` on the canonical head (m, head frame), `groups` (name -> first, last + 1), the classes `on` which
    a group's points lie, and `mirror`, the point that takes each place in a mirrored image.
    """

    points: Float[np.ndarray, "n 3"]
    groups: dict[str, tuple[int, int]]
    on: dict[str, tuple[str, ...]]
    mirror: Int[np.ndarray, " n"]

    @property
    def about(self) -> dict[str, Any]:
        """What an index of a data set says of them."""
        groups = {name: list(span) for name, span in self.groups.items()}
        return {"scheme": "dense", "n_points": len(self.points), "jaw": "fixed on the mesh", "groups": groups}


@cache
def dense_set() -> DenseSet:
    """The dense set of this version; points 0 ... 67 are iBUG-68."""
    table = json.loads((_ASSETS / "dense_landmarks.json").read_text(encoding="utf-8"))
    groups = {name: tuple(about["range"]) for name, about in table["groups"].items()}
    on = {name: tuple(about["on"]) for name, about in table["groups"].items()}
    return DenseSet(np.array(table["points"]), groups, on, np.array(table["mirror"]))


@dataclass(frozen=True)
class Scheme:
    """A layout: each point is one column, or the middle of several; columns are the dense points, then
    the pupils (left, right)."""

    name: str
    columns: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.columns)

    @cached_property
    def mirror(self) -> Int[np.ndarray, " k"]:
        """The point that takes each place in a mirrored image.

        Raises:
            ConfigError: a point's mirror image is no point of the layout.
        """
        n = len(dense_set().points)
        flip = [*dense_set().mirror, n + 1, n]
        place = {frozenset(columns): i for i, columns in enumerate(self.columns)}
        try:
            return np.array([place[frozenset(flip[c] for c in columns)] for columns in self.columns])
        except KeyError as error:
            raise ConfigError("has a point without its mirror image", where=f"scheme {self.name}") from error

    @property
    def needs(self) -> frozenset[str]:
        """What its points are taken from besides iBUG-68: "dense", "pupils"."""
        n, used = len(dense_set().points), {c for columns in self.columns for c in columns}
        kinds = {"dense": any(N_LANDMARKS <= c < n for c in used), "pupils": any(c >= n for c in used)}
        return frozenset(kind for kind, needed in kinds.items() if needed)

    def points(
        self,
        ibug: Float[np.ndarray, "68 d"],
        dense: Float[np.ndarray, "n d"] | None = None,
        pupils: Float[np.ndarray, "2 d"] | None = None,
        contour: Float[np.ndarray, "17 d"] | None = None,
    ) -> Float[np.ndarray, "k d"]:
        """Its points, from those that a sample has; what the layout `needs` must be given.

        Args:
            contour: jaw points to be taken instead of 0 ... 16; those between them are put between these.
        """
        table = np.full((len(dense_set().points) + 2, ibug.shape[1]), np.nan, ibug.dtype)
        if dense is not None:
            table[:-2] = dense
        table[:N_LANDMARKS] = ibug
        if pupils is not None:
            table[-2:] = pupils
        if contour is not None:
            first, last = dense_set().groups["jaw"]
            table[:17], table[first:last] = contour, between_jaw_points(contour)
        return np.stack([table[list(columns)].mean(0) for columns in self.columns])

    def visible(
        self,
        ibug: UInt8[np.ndarray, " 68"],
        dense: UInt8[np.ndarray, " n"] | None = None,
        pupils: UInt8[np.ndarray, " 2"] | None = None,
    ) -> UInt8[np.ndarray, " k"]:
        """Its points' visibility; of the middle of several points, the least of theirs."""
        table = np.zeros(len(dense_set().points) + 2, np.uint8)
        table[: N_LANDMARKS if dense is None else -2] = ibug if dense is None else dense
        table[-2:] = 0 if pupils is None else pupils
        return np.array([table[list(columns)].min() for columns in self.columns])


@cache
def load_scheme(name: str) -> Scheme:
    """A layout by name, or `FILE.yaml:NAME` of a file of the same form as `SCHEMES`.

    Raises:
        ConfigError: there is no such layout, or it is not made of known points.
    """
    file, _, key = name.rpartition(":")
    path = Path(file) if file else SCHEMES
    try:
        table = strict_yaml.read(path)
        schemes, parts = table["schemes"], table.get("parts") or {}
    except (TypeError, KeyError) as error:
        raise ConfigError(f"is no table of landmark schemes ({error})", where=str(path)) from error
    if key not in schemes:
        raise ConfigError(f"unknown scheme {key!r}", where=str(path), fix=f"use one of: {', '.join(schemes)}")
    where = f"{path.name}, {key}"
    return Scheme(key, tuple(columns for entry in schemes[key] for columns in _columns(entry, parts, where)))


def _columns(entry: Any, parts: dict[str, list], where: str) -> Iterator[tuple[int, ...]]:
    """The points of one entry."""
    groups = dense_set().groups
    if isinstance(entry, list):
        yield tuple(c for part in entry for columns in _columns(part, {}, where) for c in columns)
    elif entry in parts:
        for part in parts[entry]:
            yield from _columns(part, {}, where)
    elif entry in PUPILS:
        yield (len(dense_set().points) + PUPILS.index(entry),)
    elif (found := _RANGE.match(str(entry))) and (found["group"] is None or found["group"] in groups):
        start, end = groups[found["group"]] if found["group"] else (0, len(dense_set().points))
        first, last = int(found["first"]), int(found["last"] or found["first"])
        if max(first, last) >= end - start:
            raise ConfigError(f"{entry} goes beyond {end - start} points", where=where)
        step = 1 if last >= first else -1
        for i in range(first, last + step, step):
            yield (start + i,)
    else:
        raise ConfigError(
            f"{entry!r} is no point", where=where,
            fix="use numbers, GROUP.number, left_pupil, right_pupil or a part",
        )  # fmt: skip


def between_jaw_points(jaw: Float[np.ndarray, "17 d"]) -> Float[np.ndarray, "16 d"]:
    """Points halfway along the jaw line between each two of 0 ... 16.

    With them the line has the 33 points of the 98- and 106-point layouts.
    """
    from scipy.interpolate import CubicSpline

    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(jaw, axis=0), axis=1))])
    return CubicSpline(s, jaw)((s[1:] + s[:-1]) / 2)
