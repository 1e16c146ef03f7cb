"""Tileable 3-D noise, looked up at points of the canonical head."""

from functools import cache

import numpy as np
from jaxtyping import Float
from numba import njit

_SIZE = 48  # cells per tile
_SEED = 20  # the volume is the same for all samples; they read it at different places


@cache
def volume() -> Float[np.ndarray, "s s s 4"]:
    """Four independent smooth noises of zero mean and unit deviation, periodic along each axis."""
    white = np.random.default_rng(_SEED).standard_normal((4, _SIZE, _SIZE, _SIZE))
    k = np.fft.fftfreq(_SIZE)
    low_pass = np.exp(-20.0 * (k[:, None, None] ** 2 + k[:, None] ** 2 + k**2))
    smooth = np.fft.ifftn(np.fft.fftn(white, axes=(1, 2, 3)) * low_pass, axes=(1, 2, 3)).real
    smooth /= smooth.std((1, 2, 3), keepdims=True)
    return np.ascontiguousarray(np.moveaxis(smooth, 0, -1), np.float32)


def noise(
    points: Float[np.ndarray, "n 3"], cell: float | tuple[float, float, float], shift: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "n 4"]:
    """Four noises at points (m); `cell` is the size of a grain in metres, per axis if three are given."""
    scale = np.broadcast_to(1.0 / np.asarray(cell, np.float32), 3).astype(np.float32)
    return _lookup(volume(), points, np.ascontiguousarray(scale), shift.astype(np.float32))


@njit(cache=True)
def _lookup(volume, points, scale, shift):
    size, channels = volume.shape[0], volume.shape[3]
    out = np.empty((points.shape[0], channels), np.float32)
    cell = np.empty(3, np.int64)
    part = np.empty(3, np.float32)
    for n in range(points.shape[0]):
        for axis in range(3):
            x = points[n, axis] * scale[axis] + shift[axis]
            low = np.floor(x)
            part[axis] = x - low
            cell[axis] = np.int64(low) % size
        x0, y0, z0 = cell[0], cell[1], cell[2]
        x1, y1, z1 = (x0 + 1) % size, (y0 + 1) % size, (z0 + 1) % size
        u, v, w = part[0], part[1], part[2]
        for c in range(channels):
            near = (volume[x0, y0, z0, c] * (1 - u) + volume[x1, y0, z0, c] * u) * (1 - v) + (
                volume[x0, y1, z0, c] * (1 - u) + volume[x1, y1, z0, c] * u
            ) * v
            far = (volume[x0, y0, z1, c] * (1 - u) + volume[x1, y0, z1, c] * u) * (1 - v) + (
                volume[x0, y1, z1, c] * (1 - u) + volume[x1, y1, z1, c] * u
            ) * v
            out[n, c] = near * (1 - w) + far * w
    return out


@njit(cache=True)
def bilinear(image, x, y):
    """Values n c of `image` h w c at pixel positions (continuous, edges repeated)."""
    height, width, channels = image.shape
    out = np.empty((x.shape[0], channels), np.float32)
    for n in range(x.shape[0]):
        u, v = min(max(x[n] - 0.5, 0.0), width - 1.0), min(max(y[n] - 0.5, 0.0), height - 1.0)
        c0, r0 = int(u), int(v)
        c1, r1 = min(c0 + 1, width - 1), min(r0 + 1, height - 1)
        u, v = u - c0, v - r0
        for c in range(channels):
            top = image[r0, c0, c] * (1 - u) + image[r0, c1, c] * u
            low = image[r1, c0, c] * (1 - u) + image[r1, c1, c] * u
            out[n, c] = top * (1 - v) + low * v
    return out
