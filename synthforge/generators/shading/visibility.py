"""Which directions light comes from: even directions, and maps of depth seen from a light."""

import numpy as np
from jaxtyping import Float
from numba import njit

_FAR = 50.0  # m to a light's map: so far that the rasterizer's perspective vanishes


def fibonacci_sphere(n: int) -> Float[np.ndarray, "n 3"]:
    """Evenly spread unit vectors. Source: Swinbank and Purser (2006)."""
    i = np.arange(n) + 0.5
    y = 1 - 2 * i / n
    angle = np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - y**2)
    return np.stack([r * np.cos(angle), y, r * np.sin(angle)], -1).astype(np.float32)


def light_view(
    vertices: Float[np.ndarray, "v 3"], direction: Float[np.ndarray, " 3"], size: int
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"], float]:
    """Orthographic map of `size` texels that shows all vertices from `direction` (towards the light).

    Returns turn, shift, texel: a point p (m) is at `p @ turn + shift`, x and y in texels and depth
    in metres with `_FAR` at the middle of the vertices; `texel` is metres per texel.
    """
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    frame = np.stack([right, np.cross(direction, right), -direction], 1).astype(np.float32)
    seen = frame.T @ vertices.T
    low, high = seen.min(1), seen.max(1)
    texel = float((high - low)[:2].max()) / (size - 4)
    scale = np.array([1 / texel, 1 / texel, 1], np.float32)
    shift = np.array([2, 2, _FAR], np.float32) - np.append(low[:2], 0.5 * (low[2] + high[2])) * scale
    return frame * scale, shift.astype(np.float32), texel


@njit(cache=True)
def shadow_lookup(depth, points, offset, turn, shift, bias, radius):
    """Share of nine bilinear taps, `radius` texels apart, that light reaches around each point plus
    its offset; `depth`, `turn` and `shift` are the light's map (see `light_view`), `bias` metres."""
    height, width = depth.shape
    out = np.empty(points.shape[0], np.float32)
    at = np.empty(3, np.float32)
    for n in range(points.shape[0]):
        for c in range(3):
            total = shift[c]
            for k in range(3):
                total += (points[n, k] + offset[n, k]) * turn[k, c]
            at[c] = total
        lit = np.float32(0)
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                x, y = at[0] + dx * radius - np.float32(0.5), at[1] + dy * radius - np.float32(0.5)
                col, row = int(np.floor(x)), int(np.floor(y))
                u, v = x - np.float32(col), y - np.float32(row)
                for j in range(2):
                    for i in range(2):
                        c = min(max(col + i, 0), width - 1)
                        r = min(max(row + j, 0), height - 1)
                        if at[2] <= depth[r, c] + bias:
                            lit += (u if i else 1 - u) * (v if j else 1 - v)
        out[n] = lit / np.float32(9)
    return out
