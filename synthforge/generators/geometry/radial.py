"""Radial depth: how far a surface reaches from a centre, by direction; and angles of directions."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage
from scipy.interpolate import CubicSpline

from synthforge.generators.shading.noise import bilinear
from synthforge.render.rasterize import rasterize

UP = np.eye(3)
FORWARD = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # rows: x, pole, the direction of azimuth 0
_CELLS = 224  # across a map
_LONGEST = 1.0  # radians of the map; only a triangle around the far pole has a longer side


@dataclass(frozen=True)
class RadialDepth:
    """Largest distance (m) from `centre` to a surface, by direction.

    The map `radius` is azimuthal equidistant. The rows of `axes` are its x axis, its pole and the direction
    of azimuth 0; it ends `wide` radians from the pole. `radius` is 0 where no surface is met.
    """

    centre: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "3 3"]
    wide: float
    radius: Float[np.ndarray, "c c"]

    @classmethod
    def of(
        cls,
        points: Float[np.ndarray, "v 3"],
        faces: Int[np.ndarray, "f 3"],
        centre: Float[np.ndarray, " 3"],
        axes: Float[np.ndarray, "3 3"] = UP,
        wide: float = 2.6,
    ) -> "RadialDepth":
        """Map of a surface, without triangles that leave the map or lie around its far pole."""
        used = np.zeros(len(points), bool)
        used[faces] = True
        faces = (np.cumsum(used) - 1).astype(np.int32)[faces]
        q = (points[used] - centre) @ axes.T
        r = np.linalg.norm(q, axis=1)
        angle = np.arctan2(np.hypot(q[:, 0], q[:, 2]), q[:, 1])
        inside = angle < wide
        # the rasterizer interpolates 1 / depth linearly and keeps the nearest: the largest radius
        place = _plane(q)
        cells = np.column_stack([place / wide * (_CELLS / 2) + _CELLS / 2, 1 / np.maximum(r, 1e-6)])
        i, j, k = faces.T
        short = inside[i] & inside[j] & inside[k]
        for start, end in ((i, j), (j, k), (k, i)):
            x, y = (place[start] - place[end]).T
            short &= x * x + y * y < _LONGEST**2
        faces = faces[short]
        depth = rasterize(cells.astype(np.float32), faces, _CELLS, _CELLS).depth
        return cls(centre, axes, wide, (1 / depth).astype(np.float32))  # 1 / inf is 0

    def grown(self, cells: int = 1) -> "RadialDepth":
        """Each radius replaced by the largest within so many cells, so that nothing lies between samples."""
        size = 2 * cells + 1
        return replace(self, radius=ndimage.maximum_filter(self.radius, (size, size)))

    @cached_property
    def _met(self) -> np.ndarray:
        return np.dstack([self.radius, self.radius > 0])

    def at(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Radius (m) in the direction of points (m); 0 where no surface is met."""
        xy = _plane((points - self.centre) @ self.axes.T) / self.wide * (_CELLS / 2) + _CELLS / 2
        radius, share = bilinear(self._met, xy[:, 0], xy[:, 1]).T.astype(np.float64)
        return np.where(share > 0.4, radius / np.maximum(share, 0.4), 0.0)


def _plane(q: np.ndarray) -> np.ndarray:
    """Azimuthal equidistant place of vectors; the pole is y."""
    flat = np.hypot(q[:, 0], q[:, 2])
    return q[:, [0, 2]] * (np.arctan2(flat, q[:, 1]) / np.maximum(flat, 1e-9))[:, None]


def around(
    points: Float[np.ndarray, "*n 3"], axes: Float[np.ndarray, "3 3"] = UP
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Azimuth and angle from the pole (radians) of vectors."""
    q = points @ axes.T
    return np.arctan2(q[..., 0], q[..., 2]), np.arctan2(np.hypot(q[..., 0], q[..., 2]), q[..., 1])


def toward(azimuth: np.ndarray, angle: np.ndarray, axes: np.ndarray = UP) -> Float[np.ndarray, "*n 3"]:
    """Unit vectors of an azimuth and an angle from the pole (radians); the inverse of `around`."""
    azimuth, angle = np.broadcast_arrays(azimuth, angle)
    flat = np.sin(angle)
    return np.stack([flat * np.sin(azimuth), np.cos(angle), flat * np.cos(azimuth)], -1) @ axes


def ring(points: Float[np.ndarray, "n 3"], azimuth: np.ndarray, axes: np.ndarray = UP) -> np.ndarray:
    """Angle from the pole (radians), at each `azimuth`, of a smooth closed line through the directions of
    points."""
    a, angle = around(points, axes)
    order = np.argsort(a)
    a, angle = a[order], angle[order]
    line = CubicSpline(np.append(a, a[0] + 2 * np.pi), np.append(angle, angle[0]), bc_type="periodic")
    return line(azimuth)
