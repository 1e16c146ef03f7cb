"""Ambient visibility where two surfaces come close and block the light from each other."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

_NEAR = 0.007  # m, distance below which most of the light is blocked
_MOST = 0.72  # share blocked where they touch


def contact_visibility(
    points: Float[np.ndarray, "n 3"], others: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, " n"]:
    """Ambient visibility of points (m) close to a cloud of `others` (m): 1 where these are far away."""
    out = np.ones(len(points), np.float32)
    if not len(points) or not len(others):
        return out
    others = others[_within(others, points)]
    if len(others) == 0:
        return out
    close = np.flatnonzero(_within(points, others))
    far, _ = cKDTree(others).query(points[close], distance_upper_bound=3 * _NEAR)
    out[close] = 1 - _MOST * np.exp(-((far / _NEAR) ** 1.5))
    return out


def _within(points: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """Which points lie in the box around a cloud, or close enough to be darkened."""
    low, high = cloud.min(0) - 3 * _NEAR, cloud.max(0) + 3 * _NEAR
    x, y, z = ((points[:, i] > low[i]) & (points[:, i] < high[i]) for i in range(3))
    return x & y & z
