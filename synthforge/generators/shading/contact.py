"""Dusk where two surfaces come close: the light that a thing takes from what it touches."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

_NEAR = 0.007  # m within which most of it is taken
_MOST = 0.72  # share taken where they touch


def contact_open(
    points: Float[np.ndarray, "n 3"], others: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, " n"]:
    """Share of the surrounding light left at points (m) beside a cloud of others that stand in its way."""
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
    """Which points lie in the box around a cloud, or so near that it darkens them."""
    low, high = cloud.min(0) - 3 * _NEAR, cloud.max(0) + 3 * _NEAR
    x, y, z = ((points[:, i] > low[i]) & (points[:, i] < high[i]) for i in range(3))
    return x & y & z
