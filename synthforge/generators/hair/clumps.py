"""Hair clumps: many strands follow few guides and gather into locks; ropes and coils."""

import numpy as np
from jaxtyping import Float
from numba import njit
from scipy.spatial import cKDTree

from synthforge.generators.shading.numeric import unit

_NEAREST = 3


def follow(
    guides: Float[np.ndarray, "g k 3"],
    guide_key: Float[np.ndarray, "g 3"],
    key: Float[np.ndarray, "n 3"],
    roots: Float[np.ndarray, "n 3"],
    length: Float[np.ndarray, " n"],
    clump: float,
    points: int,
) -> Float[np.ndarray, "n p 3"]:
    """Paths of strands: the mean shape of their nearest guides, drawn towards the nearest one.

    Args:
        guides: paths of the guides (m).
        guide_key, key: places (m) by which guides and strands are neighbours.
        roots: where the strands start (m).
        length: of each strand, as a share of its guides' length.
        clump: how much strands are drawn to the nearest guide at their tip, 0 to 1.
        points: of each path.
    """
    near, at = cKDTree(guide_key).query(key, k=min(_NEAREST, len(guides)))
    near, at = near.reshape(len(key), -1), at.reshape(len(key), -1)
    weight = 1 / (near + 0.002) ** 2  # 2 mm: weights change smoothly
    weight /= weight.sum(1, keepdims=True)
    return _follow(guides, at, weight, roots, length, clump, points)


@njit(cache=True)
def _follow(guides, at, weight, roots, length, clump, points):
    n, k, last = len(roots), at.shape[1], guides.shape[1] - 1
    out = np.empty((n, points, 3))
    for i in range(n):
        for p in range(points):
            share = p / (points - 1)
            step = share * length[i] * last
            low = min(int(step), last - 1)
            part = step - low
            drawn = clump * min(1.0, (1.2 + 3 * clump**8) * share)
            for c in range(3):
                moved = roots[i, c]
                for j in range(k):
                    g = at[i, j]
                    value = guides[g, low, c] * (1 - part) + guides[g, low + 1, c] * part
                    moved += weight[i, j] * (value - guides[g, 0, c])
                    if j == 0:
                        leader = value
                out[i, p, c] = moved + drawn * (leader - moved)
    return out


def finer(guides: Float[np.ndarray, "g k 3"], points: int) -> Float[np.ndarray, "g p 3"]:
    """Polylines resampled to `points` points."""
    k = guides.shape[1]
    at = np.linspace(0, k - 1, points)
    low = np.minimum(at.astype(int), k - 2)
    return guides[:, low] + (at - low)[:, None] * (guides[:, low + 1] - guides[:, low])


def ropes(
    guides: Float[np.ndarray, "g k 3"], radius: Float[np.ndarray, " g"], each: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n k 3"], Float[np.ndarray, "n k 3"]]:
    """Strands wound around guides as round ropes that are thin at both ends.

    Args:
        guides: paths (m).
        radius: of each rope (m).
        each: strands per guide.
    Returns:
        paths (m), guide after guide, and unit vectors out of the rope at their points.
    """
    g, k, _ = guides.shape
    tangent = unit(np.gradient(guides, axis=1))
    side = unit(np.cross(tangent, [0.3, 0.2, 0.93]))
    other = np.cross(tangent, side)
    u = np.linspace(0, 1, k)
    wind = rng.uniform(0.8, 1.6, (g, 1, 1)) * rng.uniform(0.8, 1.2, (g, each, 1))
    turn = 2 * np.pi * (rng.random((g, each, 1)) + wind * u)[..., None]
    out = np.cos(turn) * side[:, None] + np.sin(turn) * other[:, None]
    thick = np.interp(u, [0, 0.15, 0.5, 0.9, 1], [0.5, 0.9, 1.0, 0.85, 0.5])[:, None]
    paths = guides[:, None] + radius[:, None, None, None] * thick * out
    return paths.reshape(-1, k, 3), out.reshape(-1, k, 3)


def coils(
    paths: Float[np.ndarray, "n m 3"],
    length: Float[np.ndarray, " n"],
    radius: Float[np.ndarray, " n"],
    turns: Float[np.ndarray, " n"],
    phase: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n m 3"]:
    """Offsets (m) from paths to helices around them, whose radius grows from the root.

    Args:
        paths: metres.
        length: of each path (m).
        radius: of each helix (m).
        turns: per metre.
        phase: in turns.
    """
    m = paths.shape[1]
    along = np.linspace(0, 1, m)[None] * length[:, None]
    angle = 2 * np.pi * (along * turns[:, None] + phase[:, None])
    tangent = unit(np.gradient(paths, axis=1))
    side = unit(np.cross(tangent, [0.3, 0.2, 0.93]))
    other = np.cross(tangent, side)
    grown = radius[:, None] * np.clip(along * turns[:, None] / 1.2, 0, 1)
    return grown[..., None] * (np.cos(angle)[..., None] * side + np.sin(angle)[..., None] * other)
