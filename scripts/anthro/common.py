"""Shared shapes and small geometry helpers of the embedded-head build."""

from dataclasses import dataclass
from itertools import pairwise
from math import acos, hypot, pi

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import CubicSpline
from scipy.spatial import Delaunay, cKDTree


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


def spline(knots: Float[np.ndarray, "k d"], step: float | None = None, n: int | None = None):
    """Samples of the natural cubic spline through knots, measured in their first three columns.

    step: every knot is a sample and spans are cut into pieces of about this length; n: that many samples
    instead, evenly spaced over all.
    """
    space = knots[:, :3]
    u = np.r_[0, np.cumsum(np.linalg.norm(np.diff(space, axis=0), axis=1) ** 0.75)]
    curve = CubicSpline(u, knots, bc_type="natural")
    per_span = 40
    fine = np.concatenate([np.linspace(u[i], u[i + 1], per_span, endpoint=False) for i in range(len(u) - 1)])
    fine = np.r_[fine, u[-1]]
    arc = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve(fine)[:, :3], axis=0), axis=1))]
    if n is not None:
        return curve(np.interp(np.linspace(0, arc[-1], n), arc, fine))
    stops = arc[::per_span]
    at = [np.linspace(a, b, max(1, round((b - a) / step)), endpoint=False) for a, b in pairwise(stops)]
    return curve(np.interp(np.r_[np.concatenate(at), arc[-1]], arc, fine))


def inside(points: Float[np.ndarray, "n 2"], polygon: Float[np.ndarray, "k 2"]) -> Bool[np.ndarray, " n"]:
    """Even-odd test of points against a closed polygon."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, :1], points[:, 1:]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    cross = x < (b[:, 0] - a[:, 0]) * (y - a[:, 1]) / rise + a[:, 0]
    return (spans & cross).sum(1) % 2 == 1


def graded_mesh(fixed, outline, holes, size, rng, segments, iterations=40):
    """Points and triangles of a planar region, edge length about size(points).

    fixed: n 2 points kept first and unmoved (must hold every outline and hole vertex); outline: closed
    polygon; holes: closed polygons; size: (m 2) -> m; segments: k 2 pairs of fixed points to appear as edges
    (no free point stays in their diametral circles). Springs push free points to the wanted edge lengths
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
        d, _ = cKDTree(fixed).query(p)
        p = p[d > ratio * size(p)]
        ends = fixed[segments]
        radius = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) / 2 * 1.01
        crowding = cKDTree(p).query_ball_point(ends.mean(1), radius)
        return np.delete(p, np.unique(np.concatenate([np.array(c, int) for c in crowding])), axis=0)

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


def flip_edges(p3, p2, faces, keep, passes=6):
    """Turn edges until the surface p3 is locally Delaunay, never inverting a triangle on the plane p2.

    p3: v 3; p2: v 2; faces: f 3 counter-clockwise in p2; keep: set of vertex pairs (a < b) never turned.
    """
    tri = [tuple(t) for t in faces.tolist()]
    p3, p2 = p3.tolist(), p2.tolist()

    def area2(a, b, c):
        (ax, ay), (bx, by), (cx, cy) = p2[a], p2[b], p2[c]
        return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)

    def angle(at, b, c):
        u = [p3[b][k] - p3[at][k] for k in range(3)]
        w = [p3[c][k] - p3[at][k] for k in range(3)]
        dot = sum(x * y for x, y in zip(u, w, strict=True))
        return acos(max(-1.0, min(1.0, dot / (hypot(*u) * hypot(*w) + 1e-12))))

    for _ in range(passes):
        owner = {}
        for k, (a, b, c) in enumerate(tri):
            owner[a, b], owner[b, c], owner[c, a] = (k, c), (k, a), (k, b)
        touched, turned = set(), 0
        for (a, b), (k, c) in owner.items():
            if a > b or (b, a) not in owner or (a, b) in keep:
                continue
            m, d = owner[b, a]
            if k in touched or m in touched or (c, d) in owner or (d, c) in owner:
                continue
            if angle(c, a, b) + angle(d, a, b) < pi + 1e-3:
                continue
            small = 1e-3 * (area2(a, b, c) + area2(b, a, d))
            if area2(c, a, d) <= small or area2(d, b, c) <= small:
                continue
            tri[k], tri[m] = (c, a, d), (d, b, c)
            touched |= {k, m}
            turned += 1
        if not turned:
            break
    return np.array(tri)


def fair(p3, faces, held, middle=(), rounds=8):
    """Taubin smoothing (1995, lambda 0.5, mu -0.53), neighbours weighed by inverse length.

    held: vertex ids that stay; middle: ids on the mirror plane x = 0, smoothed as if the other half were
    there.
    """
    n = len(p3)
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    i, j = np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]]
    on_plane = np.zeros(n, bool)
    on_plane[np.asarray(middle, int)] = True
    weight = np.where(on_plane[i] & ~on_plane[j], 2.0, 1.0) / np.linalg.norm(p3[i] - p3[j], axis=1)
    total = np.bincount(i, weight, minlength=n)[:, None]
    out = p3.copy()
    for _ in range(rounds):
        for step in (0.5, -0.53):
            mean = np.stack([np.bincount(i, weight * out[j, k], minlength=n) for k in range(3)], 1) / total
            moved = out + step * (mean - out)
            moved[on_plane, 0] = 0.0
            moved[held] = p3[held]
            out = moved
    return out


def orient(p: Float[np.ndarray, "n 2"], tri: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "f 3"]:
    """Triangles turned counter-clockwise in the plane."""
    a, b, c = p[tri[:, 0]], p[tri[:, 1]], p[tri[:, 2]]
    flip = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] < 0
    out = tri.copy()
    out[flip] = out[flip][:, ::-1]
    return out
