"""What light reaches: even directions, depth maps seen from a light, and ambient visibility of a head."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numba import njit

from synthforge.generators.shading.numeric import unit
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import vertex_normals
from synthforge.render.rasterize import rasterize

_FAR = 50.0  # m from a light's map to the surface: so far that the rasterizer's perspective vanishes
_N_DIRECTIONS = 64
_MAP_SIZE = 192  # texels across the head, per direction


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

    Returns turn, shift, texel: `p @ turn + shift` is the place in the map of a point p (m), x and y in
        texels,
    depth in metres (`_FAR` at the middle of the vertices). `texel` is the metres per texel.
    """
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = unit(np.cross(helper, direction))
    frame = np.stack([right, np.cross(direction, right), -direction], 1).astype(np.float32)
    seen = frame.T @ vertices.T
    low, high = seen.min(1), seen.max(1)
    texel = float((high - low)[:2].max()) / (size - 4)
    scale = np.array([1 / texel, 1 / texel, 1], np.float32)
    shift = np.array([2, 2, _FAR], np.float32) - np.append(low[:2], 0.5 * (low[2] + high[2])) * scale
    return frame * scale, shift.astype(np.float32), texel


@njit(cache=True)
def shadow_lookup(depth, points, offset, turn, shift, bias, radius):
    """Share of light that reaches each point, n, by nine bilinear taps around it that are `radius` texels
    apart.

    `depth` is the light's depth map, `turn` and `shift` are those of `light_view`. `offset` (m) is added
    to the points, `bias` (m) to the depth.
    """
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


@dataclass(frozen=True)
class AmbientVisibility:
    """How much light from each of d directions a head's vertices get at rest; get it with
    `head.derived(AmbientVisibility.of)`.

    `directions` are unit vectors (head frame). `free` is the cosine of each with the vertex normal, 0 behind
    the surface; `reached` is the part of it that the rest of the head does not block.
    """

    directions: Float[np.ndarray, "d 3"]
    reached: Float[np.ndarray, "v d"]
    free: Float[np.ndarray, "v d"]

    @classmethod
    def of(cls, head: HeadModel) -> "AmbientVisibility":
        rest, directions = head.vertices.numpy(), fibonacci_sphere(_N_DIRECTIONS)
        free = np.maximum(vertex_normals(rest, head.faces) @ directions.T, 0).astype(np.float32)
        return cls(directions, free * np.stack([_lit(rest, head.faces, d) for d in directions], 1), free)


def _lit(vertices: np.ndarray, faces: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Share of the light from one direction that reaches each vertex, float32."""
    turn, shift, texel = light_view(vertices, direction, _MAP_SIZE)
    depth = rasterize(vertices @ turn + shift, faces, _MAP_SIZE, _MAP_SIZE).depth
    off, bias = np.zeros_like(vertices), np.float32(1.5 * texel + 0.002)
    return shadow_lookup(depth, vertices, off, turn, shift, bias, np.float32(1.0))
