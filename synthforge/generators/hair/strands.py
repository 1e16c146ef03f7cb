"""Strands: roots on the skin, ribbons that face the camera, the colour they share.

Lengths are metres. Scalp hair, brows, lashes and beards are grown by subclasses of `Grower`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from synthforge.generators.geometry.drape import CENTRE, PosedHead, Reach, outer_faces
from synthforge.generators.geometry.worn import WornMesh
from synthforge.generators.hair.color import hair_color
from synthforge.generators.shading.noise import noise
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import vertex_normals
from synthforge.types import SceneParams

_UNDER = 0.0045  # m between the outside of a hat or mask and the hair it presses down


class Grower:
    """Skin of one posed head on which strands root; `rng` draws all of them."""

    def __init__(
        self,
        head: HeadModel,
        params: SceneParams,
        vertices: Float[np.ndarray, "v 3"],
        rng: np.random.Generator,
        covers: Sequence[Reach],
    ):
        self.head, self.rng = head, rng
        self.vertices = vertices.astype(np.float64)
        self.normals = vertex_normals(vertices, head.faces).astype(np.float64)
        self.posed = PosedHead(head, params, vertices)
        self.turn = self.posed.turn
        self.covers = covers
        self.color = hair_color(params)
        self.camera_at = params.camera.cam2world[:3, 3].astype(np.float64)
        self.skin_faces = outer_faces(head, ears=False)

    def to_head(self, points: np.ndarray) -> np.ndarray:
        """World points before the head turned, relative to the middle of the braincase."""
        return self.posed.to_head(points) - CENTRE

    def to_world(self, points: np.ndarray) -> np.ndarray:
        return self.posed.to_world(points + CENTRE)

    def roots(
        self, density: np.ndarray, count: float, per_area: bool = False, most: int = 20000
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`count` points on the skin (`per_area`: per square metre where density is 1, `most` in all) by
        per-vertex density: world position, normal, canonical place."""
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
        """World paths pressed under what covers the head; which of them come out from it."""
        hidden = np.zeros(paths.shape[:2], bool)
        if not self.covers:
            return paths, ~hidden.all(1)
        points = self.posed.to_head(paths.reshape(-1, 3))
        for cover in self.covers:
            roof = cover.at(points)
            away = points - cover.middle
            r = np.maximum(np.linalg.norm(away, axis=1), 1e-6)
            share = np.where(roof > 0, np.minimum(1, (roof - _UNDER) / r), 1)
            points = cover.middle + away * share[:, None]
            hidden |= (roof > 0).reshape(hidden.shape)
        points = points.reshape(paths.shape)
        # the first point outside stays near the last one under: no strand breaks through the rim
        at = np.nonzero(hidden[:, :-1] & ~hidden[:, 1:])
        inner, outer = (np.linalg.norm((points[at[0], at[1] + k] - CENTRE)[:, ::2], axis=1) for k in (0, 1))
        share = np.minimum(1, (inner + 0.003) / np.maximum(outer, 1e-6))[:, None]
        points[at[0], at[1] + 1, ::2] = CENTRE[::2] + share * (points[at[0], at[1] + 1, ::2] - CENTRE[::2])
        shown = ~hidden.all(1)
        return self.posed.to_world(points[shown]), shown

    def ribbons(
        self,
        paths: np.ndarray,
        width: np.ndarray,
        color: np.ndarray,
        class_id: int,
        labelled: bool = True,
        least: float = 0.0,
        contrast: float = 1.0,
    ) -> WornMesh:
        """Strips that face the camera, tapering to the tip; darker at the root, lighter at the tip.

        `paths` n m 3 (world); `color` is one for all, or fits n m 3; nothing is narrower than `least` (m).
        `contrast` scales how much strands differ: a ribbon that stands for many hairs has their mean.
        """
        n, m, _ = paths.shape
        taper = np.interp(np.linspace(0, 1, m), [0, 0.25, 0.8, 1], [0.6, 1.0, 1.0, 0.15])
        half = 0.5 * width[:, None] * self.rng.uniform(0.6, 1.4, (n, 1)) * taper
        half = np.maximum(half, 0.5 * least)
        points, tangent = _strips(paths, half, self.camera_at)
        strand = np.arange(n, dtype=np.int32)[:, None] * 2 * m + 2 * np.arange(m - 1, dtype=np.int32)
        quads = np.stack([strand, strand + 1, strand + 3, strand, strand + 3, strand + 2], -1)
        locks = smooth_noise(self.to_head(paths[:, 0]) / 0.006, self.rng)[:, :1, None]
        # light passes through pale hair down to its roots
        pale = float(np.mean(color)) if np.size(color) else 0.0
        depth = 0.5 - 0.25 * min(1.0, pale / 0.4)
        along = np.interp(np.linspace(0, 1, m), [0, 0.4, 1], [1 - depth, 0.95, 1.15])
        tone = np.exp(contrast * (self.rng.normal(0, 0.15, (n, 1, 1)) + 0.15 * locks)) * along[None, :, None]
        albedo = np.repeat(np.clip(color * tone, 0, 1).astype(np.float32)[:, :, None], 2, 2).reshape(-1, 3)
        return strand_mesh(points, quads.reshape(-1, 3), class_id, albedo, tangent, labelled)


@njit(cache=True)
def _strips(paths, half, camera):
    """Both edges of each strand (n m 2, 3), `half` n m (m) aside of it as the camera sees it, and the
    strand's direction there."""
    n, m, _ = paths.shape
    points, along = np.empty((n * m * 2, 3), np.float32), np.empty((n * m * 2, 3), np.float32)
    t, v, s = np.empty(3), np.empty(3), np.empty(3)
    for i in range(n):
        for j in range(m):
            before, after = max(j - 1, 0), min(j + 1, m - 1)
            for c in range(3):
                t[c] = paths[i, after, c] - paths[i, before, c]
                v[c] = camera[c] - paths[i, j, c]
            t /= max(np.sqrt((t * t).sum()), 1e-12)
            s[0], s[1], s[2] = t[1] * v[2] - t[2] * v[1], t[2] * v[0] - t[0] * v[2], t[0] * v[1] - t[1] * v[0]
            s *= half[i, j] / max(np.sqrt((s * s).sum()), 1e-12)
            at = (i * m + j) * 2
            for c in range(3):
                points[at, c], points[at + 1, c] = paths[i, j, c] - s[c], paths[i, j, c] + s[c]
                along[at, c] = along[at + 1, c] = t[c]
    return points, along


def smooth_noise(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three smooth random fields of unit deviation and about unit correlation length, float32."""
    shift = rng.uniform(0, 48, 3)
    return noise(np.ascontiguousarray(points, np.float32), 0.7, shift.astype(np.float32))[:, :3]


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def strand_mesh(
    points: np.ndarray,
    faces: Int[np.ndarray, "m 3"],
    class_id: int,
    albedo: np.ndarray,
    tangent: np.ndarray,
    labelled: bool = True,
) -> WornMesh:
    points, albedo, tangent = (np.ascontiguousarray(a, np.float32) for a in (points, albedo, tangent))
    faces = np.ascontiguousarray(faces, np.int32)
    return WornMesh(points, faces, class_id, albedo, tangent, "hair", labelled=labelled)
