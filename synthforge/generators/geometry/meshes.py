"""Triangle meshes and lines: tubes, lattices, cutting along a line, distances to a polyline."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from synthforge.generators.shading.numeric import unit

_AROUND = 8  # corners of a tube


def joined(
    meshes: Iterable[tuple[Float[np.ndarray, "_ 3"], Int[np.ndarray, "_ 3"]]],
) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "m 3"]]:
    """Several (points, faces) as one, in the same order."""
    points, faces = zip(*meshes, strict=True)
    starts = np.cumsum([0, *(len(p) for p in points[:-1])])
    return np.concatenate(points), np.concatenate([f + s for f, s in zip(faces, starts, strict=True)])


def tube(
    line: Float[np.ndarray, "n 3"], radius: float, closed: bool
) -> tuple[Float[np.ndarray, "k 3"], Int[np.ndarray, "f 3"]]:
    """Round tube of a `radius` (m) along a polyline (m): points, and faces wound counter-clockwise seen from
    outside. A `closed` line joins its end to its start; the ends of others stay open."""
    along = np.roll(line, -1, 0) - np.roll(line, 1, 0) if closed else np.gradient(line, axis=0)
    along = unit(along)
    helper = np.where(np.abs(along[:, 2:]) < 0.8, [0.0, 0.0, 1.0], [0.0, 1.0, 0.0])
    u = unit(np.cross(along, helper))
    v = np.cross(along, u)
    a = np.arange(_AROUND) / _AROUND * 2 * np.pi
    points = line[:, None] + radius * (np.cos(a)[:, None] * u[:, None] + np.sin(a)[:, None] * v[:, None])
    n = len(line)
    i, j = np.meshgrid(np.arange(n if closed else n - 1), np.arange(_AROUND), indexing="ij")
    here, right = i * _AROUND + j, i * _AROUND + (j + 1) % _AROUND
    ahead, across = (i + 1) % n * _AROUND + j, (i + 1) % n * _AROUND + (j + 1) % _AROUND
    faces = np.concatenate([np.stack([here, right, across], -1), np.stack([here, across, ahead], -1)])
    return points.reshape(-1, 3), faces.reshape(-1, 3)


def lattice_faces(rows: int, columns: int, closed: bool = False) -> Int[np.ndarray, "f 3"]:
    """Two triangles per cell of a lattice of points, row by row; `closed` joins the last column to the first.

    They face outwards where rows go down and columns go to the subject's left.
    """
    i, j = np.mgrid[0 : rows - 1, 0 : columns if closed else columns - 1]
    here, right = i * columns + j, i * columns + (j + 1) % columns
    below, across = here + columns, right + columns
    return np.stack([here, below, across, here, across, right], -1).reshape(-1, 3)


def clip_triangles(
    faces: Int[np.ndarray, "f 3"], height: Float[np.ndarray, " v"]
) -> tuple[Int[np.ndarray, "m 3"], Int[np.ndarray, "k 2"], Float[np.ndarray, " k"]]:
    """The part of triangles where the `height` of vertices is negative, cut along its zero line.

    Returns faces into k new vertices, `edges` and `share`: new vertex i lies `share[i]` of the way from old
    vertex `edges[i, 0]` to `edges[i, 1]` (see `between`). Those with a positive share lie on the zero line.
    """
    below = height[faces] < 0
    count = below.sum(1)
    # turn each triangle so that its odd corner (one below or one above) comes first
    odd = np.where(count == 1, below.argmax(1), np.where(count == 2, (~below).argmax(1), 0))
    turned = np.take_along_axis(faces, (odd[:, None] + np.arange(3)) % 3, 1)
    a, b, c = turned.T

    def corner(i: np.ndarray) -> np.ndarray:
        return np.stack([i, i], -1)

    def cut(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return np.sort(np.stack([i, j], -1), -1)

    whole, one, two = (count == k for k in (3, 1, 2))
    triangles = [
        np.stack([corner(a), corner(b), corner(c)], 1)[whole],
        np.stack([corner(a), cut(a, b), cut(a, c)], 1)[one],
        np.stack([cut(a, b), corner(b), corner(c)], 1)[two],
        np.stack([cut(a, b), corner(c), cut(a, c)], 1)[two],
    ]
    first, second = np.concatenate(triangles).reshape(-1, 2).T
    index, is_cut = np.empty(len(first), np.int64), first != second
    used = np.zeros(len(height), bool)
    used[first[~is_cut]] = True
    kept = np.flatnonzero(used)
    index[~is_cut] = (np.cumsum(used) - 1)[first[~is_cut]]
    keys, at = np.unique(first[is_cut] * len(height) + second[is_cut], return_inverse=True)
    index[is_cut] = at + len(kept)
    edges = np.concatenate([np.stack([kept, kept], -1), np.stack(np.divmod(keys, len(height)), -1)])
    low, high = height[edges[:, 0]], height[edges[:, 1]]
    share = np.where(edges[:, 0] == edges[:, 1], 0.0, low / np.where(low == high, 1.0, low - high))
    return index.reshape(-1, 3).astype(np.int32), edges, share


def between(
    values: Float[np.ndarray, "v c"], edges: Int[np.ndarray, "k 2"], share: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "k c"]:
    """Values at the new vertices of `clip_triangles` from those at the old ones."""
    return values[edges[:, 0]] * (1 - share[:, None]) + values[edges[:, 1]] * share[:, None]


def boundary_edges(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "e 2"]:
    """Directed edges that only one triangle has."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    keys = np.sort(edges, 1) @ [edges.max() + 1, 1]
    _, index, count = np.unique(keys, return_index=True, return_counts=True)
    return edges[index[count == 1]]


@njit(cache=True)
def nearest_on_polyline(points, line):
    """Distance (n, float32) of points n 3 to a polyline k 3, and where the nearest place is along it.

    0 is the start, 1 the end; each segment counts the same.
    """
    n, k = points.shape[0], line.shape[0]
    distance = np.empty(n, np.float32)
    share = np.empty(n, np.float32)
    for i in range(n):
        best = np.inf
        for s in range(k - 1):
            dot, length = 0.0, 0.0
            for c in range(3):
                e = line[s + 1, c] - line[s, c]
                dot += (points[i, c] - line[s, c]) * e
                length += e * e
            t = min(max(dot / max(length, 1e-18), 0.0), 1.0)
            d = 0.0
            for c in range(3):
                d += (points[i, c] - line[s, c] - t * (line[s + 1, c] - line[s, c])) ** 2
            if d < best:
                best = d
                share[i] = (s + t) / (k - 1)
        distance[i] = np.sqrt(best)
    return distance, share
