"""Strands: roots on the skin, hats that press them down, width and tone along them.

Lengths are metres. Scalp hair, brows, lashes and beards are grown by subclasses of `Grower`.
"""

from collections.abc import Sequence

import numpy as np

from synthforge.generators.geometry.accessory import Accessory, Strands
from synthforge.generators.geometry.person import Person, outer_faces
from synthforge.generators.geometry.radial import RadialDepth
from synthforge.generators.shading.noise import noise
from synthforge.generators.shading.numeric import unit
from synthforge.heads.anatomy import BRAINCASE
from synthforge.render.interpolate import vertex_normals

_UNDER = 0.0045  # m from the outside of a hat or mask to the hair under it


class Grower:
    """The posed skin of a person, on which strands root; `rng` draws all of them.

    `covers` are what is worn over them (head frame).
    """

    def __init__(self, person: Person, rng: np.random.Generator, covers: Sequence[RadialDepth]):
        self.person, self.head, self.rng, self.covers = person, person.head, rng, covers
        self.vertices = person.vertices.astype(np.float64)
        self.normals = vertex_normals(person.vertices, self.head.faces).astype(np.float64)
        self.turn = person.turn
        self.camera_at = person.params.camera.cam2world[:3, 3].astype(np.float64)
        self.skin_faces = outer_faces(self.head, ears=False)

    def to_head(self, points: np.ndarray) -> np.ndarray:
        """World points (m) in the head frame, relative to the middle of the braincase."""
        return self.person.to_head(points) - BRAINCASE

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Inverse of `to_head`."""
        return self.person.to_world(points + BRAINCASE)

    def roots(
        self, density: np.ndarray, count: float, per_area: bool = False, most: int = 20000
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Random points on the skin, as many per area as the `density` of its vertices says.

        There are `count` of them, or with `per_area` so many per square metre where the density is 1, at most
        `most`. Returns their position (m, world), normal (world) and canonical place (m).
        """
        faces = self.head.faces[self.skin_faces]
        faces = faces[(density > 0)[faces].any(1)]
        if not len(faces):
            return (np.zeros((0, 3)),) * 3
        a, b, c = (self.vertices[faces[:, i]] for i in range(3))
        area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
        weight = np.cumsum(area * density[faces].mean(1))
        count = int(min(count * weight[-1], most)) if per_area else int(count)
        at = np.searchsorted(weight, self.rng.random(count) * weight[-1])
        u, v = self.rng.random((2, count))
        flip = u + v > 1
        u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
        bary = np.stack([1 - u - v, u, v], -1)[..., None]
        corners = faces[at]

        def mix(values: np.ndarray) -> np.ndarray:
            return (values[corners] * bary).sum(1)

        return mix(self.vertices), unit(mix(self.normals)), mix(self.head.canonical.astype(float))

    def pressed(self, paths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Paths (world) pressed under what covers the head, without those that are wholly hidden; and
        which of them are left."""
        hidden = np.zeros(paths.shape[:2], bool)
        if not self.covers:
            return paths, ~hidden.all(1)
        points = self.person.to_head(paths.reshape(-1, 3))
        for cover in self.covers:
            roof = cover.at(points)
            away = points - cover.centre
            r = np.maximum(np.linalg.norm(away, axis=1), 1e-6)
            share = np.where(roof > 0, np.minimum(1, (roof - _UNDER) / r), 1)
            points = cover.centre + away * share[:, None]
            hidden |= (roof > 0).reshape(hidden.shape)
        points = points.reshape(paths.shape)
        # the first point outside stays near the last one inside, so that no strand breaks through the rim
        at = np.nonzero(hidden[:, :-1] & ~hidden[:, 1:])
        inner, outer = (
            np.linalg.norm((points[at[0], at[1] + k] - BRAINCASE)[:, ::2], axis=1) for k in (0, 1)
        )
        share = np.minimum(1, (inner + 0.003) / np.maximum(outer, 1e-6))[:, None]
        points[at[0], at[1] + 1, ::2] = BRAINCASE[::2] + share * (
            points[at[0], at[1] + 1, ::2] - BRAINCASE[::2]
        )
        shown = ~hidden.all(1)
        return self.person.to_world(points[shown]), shown

    def ribbons(
        self,
        paths: np.ndarray,
        width: np.ndarray,
        color: np.ndarray,
        class_name: str,
        labelled: bool = True,
        least: float = 0.0,
        contrast: float = 1.0,
    ) -> Accessory:
        """Strands along paths n m 3 (world) that taper to the tip, darker at the root, lighter at the tip.

        Args:
            width: metres, n.
            color: linear RGB, one for all or such that it broadcasts to n m 3.
            least: width (m) that no strand falls below.
            contrast: scales how much strands differ; a ribbon that stands for many hairs has their mean.
        """
        n, m, _ = paths.shape
        taper = np.interp(np.linspace(0, 1, m), [0, 0.25, 0.8, 1], [0.6, 1.0, 1.0, 0.15])
        half = 0.5 * width[:, None] * self.rng.uniform(0.6, 1.4, (n, 1)) * taper
        half = np.maximum(half, 0.5 * least)
        locks = smooth_noise(self.to_head(paths[:, 0]) / 0.006, self.rng)[:, :1, None]
        # light passes through pale hair down to its roots
        pale = float(np.mean(color)) if np.size(color) else 0.0
        depth = 0.5 - 0.25 * min(1.0, pale / 0.4)
        along = np.interp(np.linspace(0, 1, m), [0, 0.4, 1], [1 - depth, 0.95, 1.15])
        tone = np.exp(contrast * (self.rng.normal(0, 0.15, (n, 1, 1)) + 0.15 * locks)) * along[None, :, None]
        albedo = np.clip(color * tone, 0, 1).astype(np.float32)
        return Accessory.hair(Strands(paths, half, albedo), self.camera_at, class_name, labelled)


def smooth_noise(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three smooth random fields (n 3, float32) of deviation 1 and a correlation length of about 1."""
    shift = rng.uniform(0, 48, 3)
    return noise(np.ascontiguousarray(points, np.float32), 0.7, shift.astype(np.float32))[:, :3]
