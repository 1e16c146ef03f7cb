"""Points on triangle surfaces as (face, barycentric): nearest point, and projection along z."""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree


def closest_on_triangles(
    points: Float[np.ndarray, "*n 3"], corners: Float[np.ndarray, "*n 3 3"]
) -> Float[np.ndarray, "*n 3"]:
    """Barycentric coordinates of the nearest point of each triangle.

    Four times as fast as trimesh's `closest_point`, with other triangles where two share the nearest point:
    that one would move the dense landmarks of data sets that exist.

    Source: the nearest point is the foot of the perpendicular if that lies inside, else the nearest
    point of one of the three edges.
    """
    a, b, c = np.moveaxis(corners, -2, 0)
    e1, e2, d = b - a, c - a, points - a
    g11, g12, g22 = (e1 * e1).sum(-1), (e1 * e2).sum(-1), (e2 * e2).sum(-1)
    h1, h2 = (e1 * d).sum(-1), (e2 * d).sum(-1)
    area2 = np.maximum(g11 * g22 - g12 * g12, 1e-30)
    v = (g22 * h1 - g12 * h2) / area2
    w = (g11 * h2 - g12 * h1) / area2
    best = np.stack([1 - v - w, v, w], -1)
    distance = np.where((best >= 0).all(-1), 0.0, np.inf)
    for i in range(3):
        j = (i + 1) % 3
        start, edge = corners[..., i, :], corners[..., j, :] - corners[..., i, :]
        t = np.clip(((points - start) * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-30), 0, 1)
        gap = np.linalg.norm(start + t[..., None] * edge - points, axis=-1)
        on_edge = np.zeros_like(best)
        on_edge[..., i], on_edge[..., j] = 1 - t, t
        nearer = gap < distance
        best = np.where(nearer[..., None], on_edge, best)
        distance = np.where(nearer, gap, distance)
    return best


def nearest_on_surface(
    points: Float[np.ndarray, "n 3"],
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    among: Int[np.ndarray, " k"] | None = None,
    n_candidates: int = 32,
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Face and barycentric coordinates of the surface point nearest to each point.

    `among` restricts the search to those faces. The `n_candidates` triangles with the nearest centres
    are tried, which is exact for meshes whose triangles differ little in size around a point.
    """
    among = np.arange(len(faces)) if among is None else np.asarray(among)
    corners = vertices[faces[among]]
    n_candidates = min(n_candidates, len(among))
    # not KDTree, whose smaller leaves order equal distances in another way
    _, candidate = cKDTree(corners.mean(1)).query(points, n_candidates)
    candidate = candidate.reshape(len(points), n_candidates)
    barycentric = closest_on_triangles(
        np.broadcast_to(points[:, None], (*candidate.shape, 3)), corners[candidate]
    )
    foot = (corners[candidate] * barycentric[..., None]).sum(-2)
    best = np.linalg.norm(foot - points[:, None], axis=-1).argmin(1)
    rows = np.arange(len(points))
    return among[candidate[rows, best]], barycentric[rows, best]


def project_along_z(
    xy: Float[np.ndarray, "n 2"],
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    among: Int[np.ndarray, " k"] | None = None,
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Front-most (largest z) surface point over each (x, y); the nearest in x, y where there is none."""
    among = np.arange(len(faces)) if among is None else np.asarray(among)
    corners = vertices[faces[among]]
    flat = corners.copy()
    flat[..., 2] = 0
    face = np.empty(len(xy), np.int64)
    barycentric = np.empty((len(xy), 3))
    for i, (x, y) in enumerate(xy):
        inside = (
            (flat[..., 0].min(1) <= x) & (flat[..., 0].max(1) >= x)
            & (flat[..., 1].min(1) <= y) & (flat[..., 1].max(1) >= y)
        )  # fmt: skip
        near = np.flatnonzero(inside) if inside.any() else np.arange(len(among))
        point = np.broadcast_to([x, y, 0.0], (len(near), 3))
        b = closest_on_triangles(point, flat[near])
        gap = np.linalg.norm((flat[near] * b[..., None]).sum(-2) - point, axis=-1)
        z = (corners[near, :, 2] * b).sum(-1)
        best = np.lexsort((-z, np.where(gap < 1e-7, 0.0, gap)))[0]
        face[i], barycentric[i] = among[near[best]], b[best]
    return face, barycentric
