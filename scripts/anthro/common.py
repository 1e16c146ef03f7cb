"""Shared shapes and small geometry helpers of the embedded-head build."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import CubicSpline
from scipy.spatial import Delaunay


@dataclass
class Part:
    """One part of the head; its uv chart(s) live in the part's own unit square.

    vertices: v 3 metres, head frame, mean of men and women; faces: f 3 int32, counter-clockwise from
    outside; uv: t 2 in [0, 1], v up; face_uvs: f 3 int32; face_class: f uint8 semantic class ids;
    face_part: part name of each triangle.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    uv: Float[np.ndarray, "t 2"]
    face_uvs: Int[np.ndarray, "f 3"]
    face_class: Int[np.ndarray, " f"]
    face_part: list[str]


def spline(knots: Float[np.ndarray, "k d"], n: int, by: Float[np.ndarray, "k e"] | None = None):
    """n points on the natural cubic spline through knots, evenly spaced in the chord length of `by`."""
    ref = knots if by is None else by
    u = np.r_[0, np.cumsum(np.linalg.norm(np.diff(ref, axis=0), axis=1) ** 0.75)]
    fine = np.linspace(0, u[-1], 50 * len(knots))
    curve = CubicSpline(u, ref, bc_type="natural")(fine)
    arc = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]
    at = np.interp(np.linspace(0, arc[-1], n), arc, fine)
    return CubicSpline(u, knots, bc_type="natural")(at)


def inside(points: Float[np.ndarray, "n 2"], polygon: Float[np.ndarray, "k 2"]) -> Bool[np.ndarray, " n"]:
    """Even-odd test of points against a closed polygon."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, :1], points[:, 1:]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    cross = x < (b[:, 0] - a[:, 0]) * (y - a[:, 1]) / rise + a[:, 0]
    return (spans & cross).sum(1) % 2 == 1


def graded_mesh(fixed, outline, holes, size, rng, iterations=40):
    """Points and triangles of a planar region, edge length about size(points).

    fixed: n 2 points kept first and unmoved (must hold every outline and hole vertex); outline: closed
    polygon; holes: closed polygons; size: (m 2) -> m. Springs push free points to the wanted edge lengths
    (Persson and Strang 2004, "A simple mesh generator in MATLAB").
    """

    def allowed(p):
        keep = inside(p, outline)
        for hole in holes:
            keep &= ~inside(p, hole)
        return keep

    lo, hi = outline.min(0), outline.max(0)
    step = size(fixed).min()
    gx, gy = np.meshgrid(np.arange(lo[0], hi[0], step), np.arange(lo[1], hi[1], step * 0.866))
    gx[1::2] += step / 2
    free = np.c_[gx.ravel(), gy.ravel()]
    free = free[rng.random(len(free)) < (step / size(free)) ** 2 * 1.05]
    free = free[allowed(free)]

    def spaced(p, ratio):
        d, _ = _tree(fixed).query(p)
        return p[d > ratio * size(p)]

    free = spaced(free, 0.55)
    for it in range(iterations):
        p = np.r_[fixed, free]
        tri = Delaunay(p).simplices
        tri = tri[allowed(p[tri].mean(1))]
        edges = np.unique(np.sort(tri[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
        d = p[edges[:, 0]] - p[edges[:, 1]]
        length = np.linalg.norm(d, axis=1)
        want = size(p[edges].mean(1))
        want = want * 1.15 * np.sqrt((length**2).sum() / (want**2).sum())
        push = (np.maximum(want - length, 0) / length)[:, None] * d
        move = np.zeros_like(p)
        np.add.at(move, edges[:, 0], push)
        np.add.at(move, edges[:, 1], -push)
        moved = free + 0.2 * move[len(fixed) :]
        free = np.where(allowed(moved)[:, None], moved, free)
        if it in (10, 25):
            free = spaced(free, 0.6)
    p = np.r_[fixed, spaced(free, 0.55)]
    tri = Delaunay(p).simplices
    a, b, c = p[tri[:, 0]], p[tri[:, 1]], p[tri[:, 2]]
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    tri = tri[allowed(p[tri].mean(1)) & (area > 1e-9)]
    return p, orient(p, tri)


def orient(p: Float[np.ndarray, "n 2"], tri: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "f 3"]:
    """Triangles turned counter-clockwise in the plane."""
    a, b, c = p[tri[:, 0]], p[tri[:, 1]], p[tri[:, 2]]
    flip = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] < 0
    out = tri.copy()
    out[flip] = out[flip][:, ::-1]
    return out


def _tree(points):
    from scipy.spatial import cKDTree

    return cKDTree(points)
