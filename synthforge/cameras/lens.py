"""Lens distortion after Brown and Conrady, with OpenCV's five numbers k1, k2, p1, p2, k3.

A ray (x, y, 1) of the pinhole camera is seen where the ray (x', y', 1) would be without the lens:

    x' = x (1 + k1 r2 + k2 r4 + k3 r6) + 2 p1 x y + p2 (r2 + 2 x2)
    y' = y (1 + k1 r2 + k2 r4 + k3 r6) + p1 (r2 + 2 y2) + 2 p2 x y

Source: Brown (1966), "Decentering distortion of lenses"; OpenCV's camera model. That polynomial folds
back far from the axis; beyond the radius where it stops growing it is continued along straight lines.
"""

import numpy as np
from jaxtyping import Float
from numba import njit

from synthforge.errors import GeometryError

NAMES = ("k1", "k2", "p1", "p2", "k3")  # OpenCV's order
_WIDEST = 4.0  # tangent of the half angle (76 degrees) up to which a lens is looked at
_STEEPEST = 0.05  # least growth that counts as growing: smaller ones make the inverse ill-conditioned


def reach(lens: Float[np.ndarray, " 5"]) -> float:
    """Radius on the plane z = 1 up to which no two rays are seen at one place.

    On that disc the symmetric part of the Jacobian is positive definite, so the mapping is one to one: its
    radial part has the eigenvalues 1 + k1 r2 + ... and d(r + k1 r3 + ...)/dr, the tangential part is
    symmetric, of norm at most 6 r (|p1| + |p2|).
    """
    k1, k2, p1, p2, k3 = (float(v) for v in lens)
    r = np.linspace(0, _WIDEST, 4001)
    s = r * r
    least = np.minimum(1 + s * (k1 + s * (k2 + s * k3)), 1 + s * (3 * k1 + s * (5 * k2 + s * 7 * k3)))
    folded = np.flatnonzero(least - 6 * r * (abs(p1) + abs(p2)) < _STEEPEST)
    return float(r[folded[0] - 1]) if len(folded) else _WIDEST


def shows(lens: Float[np.ndarray, " 5"], radius: float) -> bool:
    """Whether every place within `radius` on the plane z = 1 shows exactly one ray."""
    k1, k2, p1, p2, k3 = (float(v) for v in lens)
    r = reach(lens)
    s = r * r
    return r * (1 + s * (k1 + s * (k2 + s * k3))) - 3 * s * (abs(p1) + abs(p2)) >= radius


def distort(rays: Float[np.ndarray, "*n 2"], lens: Float[np.ndarray, " 5"]) -> Float[np.ndarray, "*n 2"]:
    """Where rays x/z, y/z are seen, on the plane z = 1."""
    rays = np.asarray(rays, np.float64)
    return _distort(rays.reshape(-1, 2), np.asarray(lens, np.float64), reach(lens)).reshape(rays.shape)


def undistort(seen: Float[np.ndarray, "*n 2"], lens: Float[np.ndarray, " 5"]) -> Float[np.ndarray, "*n 2"]:
    """Rays x/z, y/z that are seen at places on the plane z = 1: the inverse of `distort`.

    Raises:
        GeometryError: a place is beyond where the lens can be inverted.
    """
    seen = np.asarray(seen, np.float64)
    rays, found = _undistort(seen.reshape(-1, 2), np.asarray(lens, np.float64), reach(lens))
    if not found:
        raise GeometryError(
            "the lens shows one place twice within the image",
            where=f"distortion {np.round(lens, 4).tolist()}",
            fix="take smaller coefficients or a smaller field of view",
        )  # fmt: skip
    return rays.reshape(seen.shape)


@njit(cache=True)
def _bend(x, y, lens):
    """Distorted place of a ray, and the Jacobian xx, xy, yy (it is symmetric)."""
    k1, k2, p1, p2, k3 = lens[0], lens[1], lens[2], lens[3], lens[4]
    s = x * x + y * y
    radial = 1 + s * (k1 + s * (k2 + s * k3))
    slope = 2 * (k1 + s * (2 * k2 + s * 3 * k3))
    u = x * radial + 2 * p1 * x * y + p2 * (s + 2 * x * x)
    v = y * radial + p1 * (s + 2 * y * y) + 2 * p2 * x * y
    xx = radial + x * x * slope + 2 * p1 * y + 6 * p2 * x
    xy = x * y * slope + 2 * p1 * x + 2 * p2 * y
    yy = radial + y * y * slope + 6 * p1 * y + 2 * p2 * x
    return u, v, xx, xy, yy


@njit(cache=True)
def _distort(rays, lens, reach):
    out = np.empty_like(rays)
    for n in range(rays.shape[0]):
        x, y = rays[n, 0], rays[n, 1]
        far = max(np.sqrt(x * x + y * y) / reach, 1.0)
        u, v, _, _, _ = _bend(x / far, y / far, lens)
        out[n, 0], out[n, 1] = far * u, far * v
    return out


@njit(cache=True)
def _undistort(seen, lens, reach):
    """Newton's method, its steps halved until they come nearer within the reach (where the mapping is the
    gradient of a convex function, so that they can); and whether all places were met."""
    out = np.empty_like(seen)
    for n in range(seen.shape[0]):
        a, b = seen[n, 0], seen[n, 1]
        size = 1 + abs(a) + abs(b)
        inward = min(1.0, 0.9 * reach / max(np.sqrt(a * a + b * b), 1e-9))
        x, y = a * inward, b * inward
        u, v, xx, xy, yy = _bend(x, y, lens)
        error = np.hypot(a - u, b - v)
        for _ in range(60):
            if error < 1e-13 * size:
                break
            det = xx * yy - xy * xy
            dx, dy = (yy * (a - u) - xy * (b - v)) / det, (xx * (b - v) - xy * (a - u)) / det
            step, near = 1.0, error
            while step > 1e-6:
                u, v, xx, xy, yy = _bend(x + step * dx, y + step * dy, lens)
                near = np.hypot(a - u, b - v)
                if near < error and np.hypot(x + step * dx, y + step * dy) <= 1.0001 * reach:
                    break
                step *= 0.5
            if step <= 1e-6:
                break
            x, y, error = x + step * dx, y + step * dy, near
        if not error < 1e-11 * size:
            return out, False
        out[n, 0], out[n, 1] = x, y
    return out, True
