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
    if len(others) == 0:
        return out
    low, high = others.min(0) - 3 * _NEAR, others.max(0) + 3 * _NEAR
    close = np.flatnonzero(((points > low) & (points < high)).all(1))
    far, _ = cKDTree(others).query(points[close], distance_upper_bound=3 * _NEAR)
    out[close] = 1 - _MOST * np.exp(-((far / _NEAR) ** 1.5))
    return out
