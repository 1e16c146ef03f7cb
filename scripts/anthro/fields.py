"""Smooth fields over a mesh: scattered moves carried to every vertex, weights that respect slits."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.linalg import factorized
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from .assemble import Assembled

MM = 1e-3
MIRROR = np.array([-1.0, 1.0, 1.0])
EYEBALLS = ("left_eyeball", "right_eyeball")
TEETH = (
    "upper_incisor_edge",
    "lower_incisor_edge",
    "upper_canine_tip",
    "upper_first_molar",
    "lower_first_molar",
)


def smoothstep(x: Float[np.ndarray, "..."], low: float, high: float) -> Float[np.ndarray, "..."]:
    """0 up to `low`, 1 from `high`, with level ends (cubic)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def rbf(
    centres: Float[np.ndarray, "k 3"],
    values: Float[np.ndarray, "k c"],
    query: Float[np.ndarray, "n 3"],
    softness: float = 8e-3,
    slack: float = 0.0,
) -> Float[np.ndarray, "n c"]:
    """Values at `query` of the smooth field through `values` at `centres`.

    Multiquadric with a constant term: as the thin plate of space, |r|, but without its kink at the
    centres, which shading would show. `softness` in metres; `slack` (metres) lets the field miss the
    values where they force it to bend. Source: Hardy (1971).
    """
    k = len(centres)
    system = np.ones((k + 1, k + 1))
    system[:k, :k] = np.sqrt(cdist(centres, centres, "sqeuclidean") + softness**2)
    system[:k, :k] -= slack * np.eye(k)
    system[k, k] = 0
    weights = np.linalg.lstsq(system, np.vstack([values, np.zeros((1, values.shape[1]))]), rcond=1e-9)[0]
    return np.sqrt(cdist(query, centres, "sqeuclidean") + softness**2) @ weights[:k] + weights[k]


def laplacian(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> tuple[sparse.csr_matrix, Float[np.ndarray, " v"]]:
    """Positive semi-definite surface Laplacian and the area of each vertex.

    Edges weigh 1 / length^2 relative to the vertex areas' scale: unlike cotangents they stay
    positive on slivers, so that harmonic weights keep within their bounds.
    """
    n = len(vertices)
    edges = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1), axis=0)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    weight = 1 / np.maximum(length, 1e-4)
    i, j = edges.T
    adjacency = sparse.coo_matrix((np.r_[weight, weight], (np.r_[i, j], np.r_[j, i])), (n, n)).tocsr()
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 6
    vertex_area = np.bincount(faces.ravel(), np.repeat(area, 3), n)
    return sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency, np.maximum(vertex_area, 1e-10)


def harmonic(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    fixed: Int[np.ndarray, " k"],
    values: Float[np.ndarray, " k"],
    smooth: int = 2,
) -> Float[np.ndarray, " v"]:
    """Field along the surface with `values` at the `fixed` vertices, as level as possible between.

    `smooth` 1: harmonic, never beyond the values; 2: biharmonic, also smooth across the fixed
    vertices, clipped to the values' range. Vertices of pieces without any fixed one get 0.
    """
    lap, area = laplacian(vertices, faces)
    system = lap if smooth == 1 else lap @ sparse.diags(area.mean() / area) @ lap
    system = (system + 1e-9 * sparse.identity(len(vertices)) * system.diagonal().mean()).tocsr()
    free = np.ones(len(vertices), bool)
    free[fixed] = False
    out = np.zeros(len(vertices))
    out[fixed] = values
    rows = system[free]
    out[free] = factorized(rows[:, free].tocsc())(-(rows[:, ~free] @ out[~free]))
    return np.clip(out, values.min(), values.max())


def mirror_partner(vertices: Float[np.ndarray, "v 3"]) -> Int[np.ndarray, " v"]:
    """For each vertex the one at its mirror image in x (the nearest one)."""
    return cKDTree(vertices).query(vertices * MIRROR)[1]


@dataclass(frozen=True)
class Anatomy:
    """The assembled head with its named points: what displacement fields are authored on.

    `points` holds the subject's left and the midline (metres); `mirror` each vertex's partner.
    """

    head: Assembled
    points: dict[str, Float[np.ndarray, " 3"]]
    mirror: Int[np.ndarray, " v"]

    @classmethod
    def of(cls, head: Assembled) -> "Anatomy":
        """Points measured on the head, or where it has none (teeth, joints) taken from the table."""
        table = json.loads((Path(__file__).parent / "points.json").read_text())
        points = {name: (np.array(p["men"]) + np.array(p["women"])) / 2 * MM for name, p in table.items()}
        for name, (face, barycentric) in head.points.items():
            if name in points:
                points[name] = barycentric @ head.vertices[head.faces[face]]
        points["eyeball_centre"] = head.eye_centres[0]
        for name in ("corneal_apex", "pupil_plane_centre"):  # rigid with the globe
            del points[name]
        return cls(head, points, mirror_partner(head.vertices))

    @cached_property
    def skin(self) -> Int[np.ndarray, " n"]:
        return np.arange(self.head.n_skin)

    def mirrored(self, delta: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        """The field of the mirrored movement."""
        return delta[self.mirror] * MIRROR

    def symmetric(self, delta: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        """The part of a field that is its own mirror image."""
        return (delta + self.mirrored(delta)) / 2

    def handles(
        self,
        moves: dict[str, Sequence[float]],
        reach: float,
        right: float,
        skip: frozenset[str] = frozenset(),
    ) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
        """Centres and their moves (m), both sides.

        Args:
            moves: point -> move of the left or midline point in mm; "right.<point>" is explicit.
            reach: unnamed points nearer than this (m) to a moved one are left out, hence free;
                farther ones, the teeth, and the whole right side where `right` is 0 stay put.
            right: what the right side makes of the left's mirrored moves: 1, 0 or -1.
            skip: points left out whatever happens.
        """
        sides = [(name, p, np.ones(3)) for name, p in self.points.items()]
        sides += [("right." + n, p * MIRROR, MIRROR) for n, p in self.points.items() if abs(p[0]) > 1e-4]
        given, rest = {}, {}
        for name, place, flip in sides:
            bare = name.removeprefix("right.")
            if bare in skip:
                continue
            if name in moves:
                given[name] = place, np.array(moves[name], float) * MM
            elif bare in moves and name != bare and right:
                given[name] = place, right * flip * np.array(moves[bare], float) * MM
            else:
                rest[name] = place
        if right < 0:  # an odd field has no other move on the midline
            given = {n: (p, m * ([1, 0, 0] if abs(p[0]) < 1e-4 else 1)) for n, (p, m) in given.items()}
        moved = np.array([p for p, m in given.values() if np.any(m)])
        for name, place in rest.items():
            near = np.linalg.norm(moved - place, axis=1).min() < reach
            still = name.removeprefix("right.") in TEETH or (not right and name.startswith("right."))
            if still or not near:
                given[name] = place, np.zeros(3)
        centres, values = zip(*given.values(), strict=True)
        return np.array(centres), np.array(values)

    def point_moves(self, delta: Float[np.ndarray, "v 3"]) -> dict[str, Float[np.ndarray, " 3"]]:
        """What a vertex field does to the named left and midline points."""
        out = {}
        for name, place in self.points.items():
            if name in self.head.points:
                face, barycentric = self.head.points[name]
                out[name] = barycentric @ delta[self.head.faces[face]]
            else:
                out[name] = delta[np.linalg.norm(self.head.vertices - place, axis=1).argmin()]
        return out

    def wrap_globes(self, delta: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        """The field with the lids sliding along their globe instead of into it or off it.

        To first order: near a globe, the skin's move relative to the globe loses its radial part.
        What is left is tangential, so that sums of such fields can only lift the lids, by about
        d^2 / 2r for a slide d.
        """
        out = delta.copy()
        for centre, part in zip(self.head.eye_centres, EYEBALLS, strict=True):
            globe = delta[self.head.part_vertices(part)].mean(0)
            ray = self.head.vertices[self.skin] - centre
            distance = np.linalg.norm(ray, axis=1)
            ray /= distance[:, None]
            hold = 1 - smoothstep(distance, 13.5e-3, 18e-3)
            radial = ((delta[self.skin] - globe) * ray).sum(1)
            out[self.skin] -= (hold * radial)[:, None] * ray
        return out
