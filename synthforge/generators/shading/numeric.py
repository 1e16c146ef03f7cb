"""Arithmetic that is used everywhere: unit vectors and smooth steps."""

import numpy as np
from jaxtyping import Float
from numba import njit


def unit(v: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Vectors scaled to length 1, in their own precision; zero vectors stay zero."""
    length = np.linalg.norm(v) if v.ndim == 1 else np.linalg.norm(v, axis=-1, keepdims=True)
    return v / np.maximum(length, 1e-12)


def unit32(v: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Vectors scaled to length 1, float32; fast for many."""
    return _unit32(np.ascontiguousarray(v, np.float32))


@njit(cache=True)
def _unit32(v):
    out = np.empty_like(v)
    for i in range(v.shape[0]):
        x, y, z = v[i, 0], v[i, 1], v[i, 2]
        length = np.float32(1) / np.sqrt(max(x * x + y * y + z * z, np.float32(1e-24)))
        out[i, 0], out[i, 1], out[i, 2] = x * length, y * length, z * length
    return out


def smoothstep(low: float, high: float, x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """0 up to `low`, 1 from `high` on, smooth between (3 t^2 - 2 t^3); falls where `high` is below `low`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
