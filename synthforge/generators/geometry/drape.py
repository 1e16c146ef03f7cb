"""Cloth over a head: how far its surface reaches from a middle, and sheets laid over that.

Everything here is in the head frame of the posed head: world axes before the neck turned, metres.
"""

from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from synthforge.conventions import CLASS_ID
from synthforge.generators.geometry.worn import WornMesh, lattice_faces
from synthforge.generators.shading.noise import bilinear
from synthforge.heads.base import HeadModel
from synthforge.render.rasterize import rasterize
from synthforge.types import SceneParams

NECK = -0.115  # m, canonical height between head and shoulders
CENTRE = np.array([0.0, 0.045, -0.010])  # middle of the braincase
UP = np.eye(3)
FORWARD = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # rows: x, pole, from which azimuth counts
_CELLS = 224  # across a map of reach
_ACROSS = 1.0  # radians of the map; no triangle of a head or shirt is as long unless it holds the far pole
_INNER = ("eye", "teeth", "gum", "tongue", "mouth", "socket", "lash")


@dataclass(frozen=True)
class _Places:
    """Constants of a head: triangles outside, which are of the ears, the canonical height of their lowest
    corner (m), where canonical points lie, and how far (m) the head rests from the canonical one."""

    outer: Int[np.ndarray, " f"]
    ears: Bool[np.ndarray, " f"]
    lowest: Float[np.ndarray, " f"]
    tree: cKDTree
    vertex: Int[np.ndarray, " n"]
    shift: Float[np.ndarray, " 3"]


_CACHE: WeakKeyDictionary[HeadModel, _Places] = WeakKeyDictionary()


def _places(head: HeadModel) -> _Places:
    if head not in _CACHE:
        outside = np.array([not any(word in part.lower() for word in _INNER) for part in head.part_names])
        outer = np.flatnonzero(outside[head.face_part])
        vertex = np.unique(head.faces[outer])
        lowest = head.canonical[head.faces[outer], 1].min(1)
        ears = _on_ears(head)[outer]
        shift = (head.vertices.numpy() - head.canonical)[vertex].mean(0).astype(np.float64)
        _CACHE[head] = _Places(outer, ears, lowest, cKDTree(head.canonical[vertex]), vertex, shift)
    return _CACHE[head]


def outer_faces(head: HeadModel, ears: bool) -> Int[np.ndarray, " f"]:
    """Triangles of the skin, not what is inside; with or without those of the ears."""
    places = _places(head)
    return places.outer if ears else places.outer[~places.ears]


def _on_ears(head: HeadModel) -> np.ndarray:
    """Triangles whose middle the class map gives to an ear."""
    size = head.class_map.shape[0]
    u, v = head.uv[head.face_uvs].mean(1).T
    cells = np.clip(np.stack([(1 - v) * size, u * size]).astype(int), 0, size - 1)
    mapped = np.where(head.face_class == 255, head.class_map[tuple(cells)], head.face_class)
    return np.isin(mapped, (CLASS_ID["left_ear"], CLASS_ID["right_ear"]))


@dataclass(frozen=True)
class Reach:
    """Outermost radius around `middle` (m) of a surface, by direction.

    The map is azimuthal equidistant: `axes` (rows x, pole, zero azimuth) say where its pole is, `wide`
    (radians) how far from the pole it goes. `radius` c c is 0 where nothing is met.
    """

    middle: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "3 3"]
    wide: float
    radius: Float[np.ndarray, "c c"]

    @classmethod
    def of(
        cls,
        points: Float[np.ndarray, "v 3"],
        faces: Int[np.ndarray, "f 3"],
        middle: Float[np.ndarray, " 3"],
        axes: Float[np.ndarray, "3 3"] = UP,
        wide: float = 2.6,
    ) -> "Reach":
        """Map of a surface; triangles that leave the map, or lie across its far pole, are left out."""
        used = np.zeros(len(points), bool)
        used[faces] = True
        faces = (np.cumsum(used) - 1).astype(np.int32)[faces]
        q = (points[used] - middle) @ axes.T
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
            short &= x * x + y * y < _ACROSS**2
        faces = faces[short]
        depth = rasterize(cells.astype(np.float32), faces, _CELLS, _CELLS).depth
        return cls(middle, axes, wide, (1 / depth).astype(np.float32))  # 1 / inf is 0

    def grown(self, cells: int = 1) -> "Reach":
        """The same with each radius that of the furthest neighbour: nothing lies between samples."""
        size = 2 * cells + 1
        return Reach(self.middle, self.axes, self.wide, ndimage.maximum_filter(self.radius, (size, size)))

    @cached_property
    def _met(self) -> np.ndarray:
        return np.dstack([self.radius, self.radius > 0])

    def at(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Radius (m) in the direction of points; 0 where nothing is met."""
        xy = _plane((points - self.middle) @ self.axes.T) / self.wide * (_CELLS / 2) + _CELLS / 2
        radius, share = bilinear(self._met, xy[:, 0], xy[:, 1]).T.astype(np.float64)
        return np.where(share > 0.4, radius / np.maximum(share, 0.4), 0.0)


def _plane(q: np.ndarray) -> np.ndarray:
    """Azimuthal equidistant place of vectors whose pole is y."""
    flat = np.hypot(q[:, 0], q[:, 2])
    return q[:, [0, 2]] * (np.arctan2(flat, q[:, 1]) / np.maximum(flat, 1e-9))[:, None]


@dataclass(frozen=True)
class PosedHead:
    """The skin of one sample in the head frame, and the way back to the world.

    `under` are triangles (points m, faces) worn below whatever is laid on next, world frame.
    """

    head: HeadModel
    params: SceneParams
    world: Float[np.ndarray, "v 3"]
    under: list[WornMesh] = field(default_factory=list)

    @cached_property
    def _joint(self) -> tuple[np.ndarray, np.ndarray]:
        neck = self.head.joint_names.index("neck")
        shifts = self.head.joint_shape_deltas[:, neck].numpy()
        pivot = self.head.joints[neck].numpy() + np.tensordot(self.params.shape, shifts, 1)
        return Rotation.from_rotvec(self.params.pose[neck]).as_matrix(), pivot.astype(np.float64)

    @property
    def turn(self) -> np.ndarray:
        """Rotation of the neck: head frame to world."""
        return self._joint[0]

    def to_head(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        turn, pivot = self._joint
        return (points - pivot) @ turn + pivot

    def to_world(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        turn, pivot = self._joint
        return (points - pivot) @ turn.T + pivot

    @cached_property
    def vertices(self) -> Float[np.ndarray, "v 3"]:
        return self.to_head(self.world.astype(np.float64))

    @property
    def shift(self) -> Float[np.ndarray, " 3"]:
        """How far (m) the head model rests from the canonical head."""
        return _places(self.head).shift

    @cached_property
    def landmarks(self) -> Float[np.ndarray, "68 3"]:
        return self.head.landmarks(self.vertices)

    def on_skin(self, canonical_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Where skin of the canonical head, given in millimetres, is on this one."""
        places = _places(self.head)
        near, at = places.tree.query(np.asarray(canonical_mm, float) * 1e-3, k=4)
        weight = 1 / np.maximum(near, 1e-5)
        weight /= weight.sum(1, keepdims=True)
        return (self.vertices[places.vertex[at]] * weight[..., None]).sum(1)

    def reach(
        self,
        ears: bool,
        middle: np.ndarray = CENTRE,
        axes: np.ndarray = UP,
        wide: float = 2.6,
        heights: tuple[float, float] = (-9.0, 9.0),
    ) -> Reach:
        """How far skin between two `heights` of the canonical head (m), and all `under`, reaches."""
        places = _places(self.head)
        wanted = (places.lowest >= heights[0]) & (places.lowest < heights[1])
        faces = [self.head.faces[places.outer[wanted if ears else wanted & ~places.ears]]]
        points = [self.vertices]
        for w in self.under:
            faces.append(w.faces + sum(map(len, points)))
            points.append(self.to_head(w.vertices))
        return Reach.of(np.concatenate(points), np.concatenate(faces), middle, axes, wide).grown()


def around(
    points: Float[np.ndarray, "*n 3"], axes: Float[np.ndarray, "3 3"] = UP
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Azimuth and angle from the pole (radians) of vectors."""
    q = points @ axes.T
    return np.arctan2(q[..., 0], q[..., 2]), np.arctan2(np.hypot(q[..., 0], q[..., 2]), q[..., 1])


def toward(azimuth: np.ndarray, angle: np.ndarray, axes: np.ndarray = UP) -> Float[np.ndarray, "*n 3"]:
    """Unit vectors of azimuth and angle from the pole; inverse of `around`."""
    azimuth, angle = np.broadcast_arrays(azimuth, angle)
    flat = np.sin(angle)
    return np.stack([flat * np.sin(azimuth), np.cos(angle), flat * np.cos(azimuth)], -1) @ axes


def ring(points: Float[np.ndarray, "n 3"], azimuth: np.ndarray, axes: np.ndarray = UP) -> np.ndarray:
    """Angle from the pole, at `azimuth`, of a smooth closed line through the directions of points."""
    a, angle = around(points, axes)
    order = np.argsort(a)
    a, angle = a[order], angle[order]
    return CubicSpline(np.append(a, a[0] + 2 * np.pi), np.append(angle, angle[0]), bc_type="periodic")(
        azimuth
    )


@njit(cache=True)
def drape(least, pinned, rounds, closed):
    """Radii of a taut sheet over an obstacle.

    `least` n m is how far it must reach at least on a lattice of directions, `pinned` n m where it
    reaches no further; `closed` joins the last column to the first and makes row 0 one point.
    """
    n, m = least.shape
    r = least.copy()
    for _ in range(rounds):
        if closed:
            top = max(r[1].mean(), least[0].max())
            r[0, :] = top
        for i in range(1 if closed else 0, n):
            up, down = max(i - 1, 0), min(i + 1, n - 1)
            for j in range(m):
                if pinned[i, j]:
                    continue
                left = (j - 1) % m if closed else max(j - 1, 0)
                right = (j + 1) % m if closed else min(j + 1, m - 1)
                if i == 0 or i == n - 1:
                    mean = 0.5 * (r[i, left] + r[i, right])
                elif not closed and (j == 0 or j == m - 1):
                    mean = 0.5 * (r[up, j] + r[down, j])
                else:
                    mean = 0.25 * (r[i, left] + r[i, right] + r[up, j] + r[down, j])
                r[i, j] = max(least[i, j], mean)
    return r


def sheet(
    posed: PosedHead,
    points: Float[np.ndarray, "n m 3"],
    color: np.ndarray,
    class_name: str,
    kind: str = "cloth",
    closed: bool = False,
    place: Float[np.ndarray, "n m 2"] | None = None,
    rings: bool = False,
) -> WornMesh:
    """A lattice of head-frame points as something worn; `color` 3 or n m 3, `place` in the cloth (m).

    Ribs of knitwear run down the columns, or where `rings` along the rows.
    """
    n, m, _ = points.shape
    world = posed.to_world(points)
    across = np.roll(world, -1, 1) - np.roll(world, 1, 1) if closed else np.gradient(world, axis=1)
    place = _measured(points) if place is None else place
    if rings:
        across, place = np.gradient(world, axis=0), place[..., ::-1]
    return worn_mesh(
        world.reshape(-1, 3),
        lattice_faces(n, m, closed),
        np.broadcast_to(color, points.shape).reshape(-1, 3),
        class_name,
        kind,
        _unit(across).reshape(-1, 3),
        np.dstack([place, np.zeros((n, m))]).reshape(-1, 3),
    )


def _measured(points: np.ndarray) -> np.ndarray:
    """Way along rows and columns (m): columns by the longest row, so that ribs keep their number."""
    step = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    u = np.append(0, step[step.sum(1).argmax()].cumsum())
    v = np.append(0, np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(1).cumsum())
    return np.dstack(np.broadcast_arrays(u[None], v[:, None]))


def worn_mesh(
    points: np.ndarray,
    faces: np.ndarray,
    color: np.ndarray,
    class_name: str,
    kind: str,
    tangent: np.ndarray | None = None,
    place: np.ndarray | None = None,
) -> WornMesh:
    """`WornMesh` in its own types; one colour may stand for all points."""
    albedo = np.clip(np.broadcast_to(color, points.shape), 0.003, 0.9)
    tangent = np.zeros_like(points) if tangent is None else tangent
    arrays = [np.ascontiguousarray(a, np.float32) for a in (points, albedo, tangent)]
    place = None if place is None else np.ascontiguousarray(place, np.float32)
    faces = np.ascontiguousarray(faces, np.int32)
    return WornMesh(arrays[0], faces, CLASS_ID[class_name], arrays[1], arrays[2], kind, place)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
