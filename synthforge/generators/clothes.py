"""A shirt grown from the shoulders, so that a bust neither ends in the air nor looks bare."""

import numpy as np
from jaxtyping import Float, Int

from synthforge.conventions import CLASS_ID
from synthforge.generators.color import hex_to_linear
from synthforge.generators.surface import HeadSurface
from synthforge.generators.worn import WornMesh
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import vertex_normals

_COLORS = (
    "1c1d22",
    "e8e6e1",
    "2a3a5c",
    "7a2430",
    "3f5a45",
    "8a8f98",
    "c8b594",
    "5b4a6e",
    "b5542e",
    "4d7ea8",
    "d7b7be",
)
_CLOTH = 0.0045  # m between skin and cloth
# rings below the shoulder's edge: widening along x and z, drop (m)
_TORSO = (
    (1.10, 1.03, 0.012),
    (1.35, 1.08, 0.035),
    (1.55, 1.12, 0.075),
    (1.66, 1.14, 0.14),
    (1.66, 1.14, 0.50),
)


def dress(
    head: HeadModel, surface: HeadSurface, vertices: Float[np.ndarray, "v 3"], rng: np.random.Generator
) -> list[WornMesh]:
    """Shirt with a round or pointed neckline over posed vertices (metres, world frame)."""
    neckline = _neckline(head.canonical * 1000.0, rng)
    color = hex_to_linear(_COLORS[rng.integers(len(_COLORS))]) * np.exp(rng.normal(0, 0.15, 3))
    color = color + rng.uniform(0.1, 0.6) * (color.mean() - color)  # washed
    worn = np.flatnonzero(surface.skin[head.faces].all(1) & (neckline[head.faces].min(1) < 0))
    if not len(worn):
        return []
    faces, edges, share = clip_triangles(head.faces[worn], neckline)
    normals = vertex_normals(vertices, head.faces)
    skin = _along(vertices, edges, share)
    cloth = skin + _CLOTH * _along(normals, edges, share)
    faces, cloth = _hem(faces, skin, cloth, share)
    albedo = np.tile(np.clip(color, 0.01, 0.8), (len(cloth), 1)).astype(np.float32)
    return [
        WornMesh(
            cloth.astype(np.float32), faces, CLASS_ID["clothing"], albedo, np.zeros_like(albedo), "solid"
        )
    ]


def _neckline(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Height in millimetres above the neckline of canonical points (mm); negative is under the cloth."""
    front, back = rng.uniform(-150, -122), rng.uniform(-108, -95)
    pointed = rng.uniform(0, 0.5) if rng.random() < 0.4 else 0.0
    t = np.clip((p[:, 2] + 75) / 110, 0, 1)
    line = back + (front - back) * t * t * (3 - 2 * t) + pointed * np.abs(p[:, 0]) * t
    return p[:, 1] - line - 0.12 * np.maximum(np.abs(p[:, 0]) - 50, 0)


def _along(values: np.ndarray, edges: np.ndarray, share: np.ndarray) -> np.ndarray:
    return values[edges[:, 0]] * (1 - share[:, None]) + values[edges[:, 1]] * share[:, None]


def clip_triangles(
    faces: Int[np.ndarray, "f 3"], height: Float[np.ndarray, " v"]
) -> tuple[Int[np.ndarray, "m 3"], Int[np.ndarray, "k 2"], Float[np.ndarray, " k"]]:
    """The part of triangles where `height` is negative, cut along its zero line.

    Returns faces into k new vertices; new vertex i is `share[i]` of the way from old vertex
    `edges[i, 0]` to `edges[i, 1]`, and stands on the zero line exactly where the share is positive.
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
    keys, index = np.unique(np.concatenate(triangles) @ [len(height), 1], return_inverse=True)
    edges = np.stack(np.divmod(keys, len(height)), -1)
    low, high = height[edges[:, 0]], height[edges[:, 1]]
    share = np.where(edges[:, 0] == edges[:, 1], 0.0, low / np.where(low == high, 1.0, low - high))
    return index.reshape(-1, 3).astype(np.int32), edges, share


def _hem(
    faces: np.ndarray, skin: np.ndarray, cloth: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Closes the neckline against the skin and lets the lower border fall as a torso."""
    border = boundary_edges(faces)
    at_neck = (share[border] > 0).all(1)
    neck, low = border[at_neck], border[~at_neck]
    low = low[cloth[low, 1].mean(1) < np.quantile(cloth[:, 1], 0.5)]
    parts, points, n = [faces], [cloth], len(cloth)
    if len(neck):
        used, at = np.unique(neck, return_inverse=True)
        points.append(skin[used])
        parts.append(_strip(neck, at.reshape(-1, 2) + n))
        n += len(used)
    if len(low):
        used, at = np.unique(low, return_inverse=True)
        centre = cloth[used].mean(0)
        upper = low
        for wide, deep, drop in _TORSO:
            points.append(centre + (cloth[used] - centre) * [wide, 1, deep] - [0, drop, 0])
            lower = at.reshape(-1, 2) + n
            parts.append(_strip(upper, lower))
            upper, n = lower, n + len(used)
    return np.concatenate(parts).astype(np.int32), np.concatenate(points)


def boundary_edges(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "e 2"]:
    """Directed edges that only one triangle has."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    keys = np.sort(edges, 1) @ [edges.max() + 1, 1]
    _, index, count = np.unique(keys, return_index=True, return_counts=True)
    return edges[index[count == 1]]


def _strip(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Two triangles per pair of edges, continuing the surface of the near edges."""
    return np.concatenate([
        np.stack([near[:, 1], near[:, 0], far[:, 0]], 1),
        np.stack([near[:, 1], far[:, 0], far[:, 1]], 1),
    ])  # fmt: skip
